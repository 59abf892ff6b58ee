//! Writes an .npz whose arrays grow batch by batch.
//!
//! Each array is spilled to a file without a name, which the system removes however the program ends. Only
//! [`NpzWriter::finish`] puts the archive together, beside the target, and renames it: under the target's
//! name there is the whole file or none. (Killed within that last step, a hidden `.zeropoint-*.tmp` may stay.)

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;

use crate::num::{DType, Values};

use super::Error;
use super::npy;

/// Arrays on their way to an .npz.
pub struct NpzWriter {
    path: PathBuf,
    folder: PathBuf,
    arrays: BTreeMap<String, Spill>,
}

/// One array so far.
struct Spill {
    row_shape: Vec<usize>,
    dtype: DType,
    rows: u64,
    bytes: u64,
    file: BufWriter<File>,
}

impl NpzWriter {
    /// Starts a file; nothing is seen under `path` until [`finish`](Self::finish).
    pub fn create(path: &Path) -> Result<NpzWriter, Error> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
            _ => PathBuf::from("."),
        };
        // Found out now, not after hours of work.
        let problem = if path.is_dir() {
            Some(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder, a file was to be written",
            ))
        } else {
            tempfile::tempfile_in(&folder).err()
        };
        match problem {
            Some(source) => Err(Error::Io {
                path: path.into(),
                source,
            }),
            None => Ok(NpzWriter {
                path: path.into(),
                folder,
                arrays: BTreeMap::new(),
            }),
        }
    }

    /// Appends rows to the array `name`, which begins with the first call. `row_shape` is the shape of one
    /// row (one sample), and `values` holds any whole number of rows. Shape and type stay the same.
    pub fn append(
        &mut self,
        name: &str,
        row_shape: &[usize],
        values: &Values,
    ) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let bad = |problem| Error::Append {
            path: self.path.clone(),
            array: name.into(),
            problem,
        };
        let elements = row_shape
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let rows = match elements {
            Some(elements) if elements > 0 && values.len().is_multiple_of(elements) => {
                values.len() / elements
            }
            _ => {
                return Err(bad(format!(
                    "{} values are no whole rows of shape {row_shape:?}",
                    values.len()
                )));
            }
        };
        if !self.arrays.contains_key(name) {
            let file = BufWriter::new(tempfile::tempfile_in(&self.folder).map_err(io)?);
            let spill = Spill {
                row_shape: row_shape.into(),
                dtype: values.dtype(),
                rows: 0,
                bytes: 0,
                file,
            };
            self.arrays.insert(name.into(), spill);
        }
        let Some(spill) = self.arrays.get_mut(name) else {
            return Ok(());
        };
        if spill.row_shape != row_shape || spill.dtype != values.dtype() {
            return Err(bad(format!(
                "rows of {:?} {} cannot follow rows of {:?} {}",
                row_shape,
                values.dtype(),
                spill.row_shape,
                spill.dtype
            )));
        }
        spill.file.write_all(values.bytes()).map_err(io)?;
        spill.rows += rows as u64;
        spill.bytes += values.bytes().len() as u64;
        Ok(())
    }

    /// Puts the archive together, stored as numpy.savez does, and gives it its name. Deflating floats would take longer
    /// than computing them and win little.
    pub fn finish(self) -> Result<(), Error> {
        let path = self.path.clone();
        self.assemble().map_err(|source| Error::Io { path, source })
    }

    fn assemble(self) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".zeropoint-").suffix(".tmp");
        // A temporary file is private by default; the finished one has the usual permissions.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let target = builder.tempfile_in(&self.folder)?;
        let mut zip = zip::ZipWriter::new(BufWriter::new(target));
        for (name, spill) in self.arrays {
            let mut shape = vec![spill.rows];
            shape.extend(spill.row_shape.iter().map(|&dim| dim as u64));
            // With the header, 64-bit sizes begin well before 4 GiB.
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .large_file(spill.bytes > 0xF000_0000);
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(&npy::header_bytes(code(spill.dtype), &shape))?;
            let mut file = spill
                .file
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut BufReader::with_capacity(1 << 16, file), &mut zip)?;
        }
        let target = zip
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        target.as_file().sync_all()?;
        target.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// numpy's code of a type, little-endian.
fn code(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::I8 => "|i1",
        DType::U8 => "|u1",
        DType::I16 => "<i2",
        DType::U16 => "<u2",
        DType::I32 => "<i4",
        DType::U32 => "<u4",
        DType::I64 => "<i8",
        DType::Bool => "|b1",
        DType::C64 => "<c8",
    }
}
