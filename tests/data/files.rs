//! Makes .npy and .npz files, byte by byte, so that also wrong ones can be made.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zeropoint::data::{DataSet, Error, InputSpec, Options};
use zeropoint::num::{DType, Values};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Bytes of an .npy with any header.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

/// An .npy of whole float32 rows.
pub fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", shape, bytemuck::cast_slice(values))
}

/// A folder of its own for every test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// An .npz of arrays given as .npy bytes, with sizes in 64 bits as numpy writes them.
    pub fn npz(&self, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
        self.npz_with(
            SimpleFileOptions::default()
                .compression_method(method)
                .large_file(true),
            arrays,
        )
    }

    pub fn npz_with(&self, options: SimpleFileOptions, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
        let path = self.path(&format!("data{}.npz", self.names().len()));
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    pub fn stored(&self, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
        self.npz(CompressionMethod::Stored, arrays)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

pub fn input(name: &str, shape: &[usize], dtype: DType) -> InputSpec {
    InputSpec {
        name: name.into(),
        shape: shape.into(),
        dtype,
    }
}

/// Opens and reads all, as one batch: the arrays, or the first error.
pub fn read_all(
    path: &Path,
    inputs: &[InputSpec],
    options: &Options,
) -> Result<Vec<Values>, Error> {
    let mut set = DataSet::open(path, inputs, options)?;
    let batch = set.next_batch(usize::MAX)?.unwrap();
    assert!(set.next_batch(1)?.is_none());
    Ok(batch.inputs)
}

/// The text of an error that must come.
pub fn problem(path: &Path, inputs: &[InputSpec], options: &Options) -> String {
    match read_all(path, inputs, options) {
        Err(error) => error.to_string(),
        Ok(values) => panic!("{} was read: {values:?}", path.display()),
    }
}
