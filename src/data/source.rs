//! Where arrays lie: a whole .npy file, or the stored and deflated members of an .npz (a zip, also zip64).
//!
//! An [`Origin`] is found once and can be opened any number of times. Each opening has its own file handle,
//! so several arrays of one archive are read side by side, and none is ever read as a whole.

use crc32fast::Hasher;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::npy::{self, Header};

/// Deflate cannot shrink by more than this; a member that claims more lies about its size.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// How a zip member's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Stored,
    /// With the CRC-32 of the inflated bytes.
    Deflated,
}

/// Where one array's bytes lie.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub path: PathBuf,
    /// Name of the array: that of the member without `.npy`, or the file's own stem.
    pub name: String,
    offset: u64,
    kept_bytes: u64,
    /// Bytes once inflated.
    bytes: u64,
    method: Method,
    crc: Option<u32>,
}

/// The arrays of a file.
#[derive(Debug)]
pub(super) enum Arrays {
    /// An .npy: one array without a name of its own.
    Single(Origin),
    /// An .npz: named arrays.
    Named(Vec<Origin>),
}

/// Finds the arrays of an .npz or .npy. The first bytes decide which it is, not the name.
pub(super) fn find_arrays(path: &Path) -> Result<Arrays, Error> {
    let io = |source| Error::Io {
        path: path.into(),
        source,
    };
    let not_arrays = |found: &str| Error::NotAnArrayFile {
        path: path.into(),
        found: found.into(),
    };
    // Asked before opening: opening a pipe that nobody writes to would wait for ever.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Err(not_arrays("it is a folder"));
    }
    if !metadata.is_file() {
        return Err(not_arrays("it is not a regular file"));
    }
    let mut file = File::open(path).map_err(io)?;
    let mut start = Vec::new();
    file.by_ref().take(6).read_to_end(&mut start).map_err(io)?;
    if start == npy::MAGIC {
        let bytes = metadata.len();
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let origin = Origin {
            path: path.into(),
            name,
            offset: 0,
            kept_bytes: bytes,
            bytes,
            method: Method::Stored,
            crc: None,
        };
        return Ok(Arrays::Single(origin));
    }
    match start.get(..4) {
        Some(b"PK\x03\x04" | b"PK\x05\x06") => {
            members(path, file, metadata.len()).map(Arrays::Named)
        }
        _ if start.is_empty() => Err(not_arrays("it is empty")),
        _ => Err(not_arrays(
            "its first bytes are neither those of an .npz nor of an .npy",
        )),
    }
}

fn members(path: &Path, file: File, file_bytes: u64) -> Result<Vec<Origin>, Error> {
    let damaged = |problem: String| Error::Archive {
        path: path.into(),
        problem,
    };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| {
        damaged(format!(
            "the archive cannot be read, perhaps it is cut short ({error})"
        ))
    })?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let member = archive
            .by_index_raw(index)
            .map_err(|error| damaged(format!("member {index}: {error}")))?;
        // numpy, too, takes members without this ending for something else than arrays.
        let Some(name) = member.name().strip_suffix(".npy") else {
            continue;
        };
        let damaged = |problem: &str| Error::Array {
            path: path.into(),
            array: name.into(),
            problem: problem.into(),
        };
        if member.encrypted() {
            return Err(damaged("it is encrypted"));
        }
        let method = match member.compression() {
            zip::CompressionMethod::Stored => Method::Stored,
            zip::CompressionMethod::Deflated => Method::Deflated,
            other => {
                return Err(damaged(&format!(
                    "it is compressed as {other}; numpy writes stored or deflated"
                )));
            }
        };
        let (bytes, kept_bytes) = (member.size(), member.compressed_size());
        let offset = member
            .data_start()
            .ok_or_else(|| damaged("its place in the file is not known"))?;
        if offset
            .checked_add(kept_bytes)
            .is_none_or(|end| end > file_bytes)
        {
            return Err(damaged(
                "it is cut short: it goes on past the end of the file",
            ));
        }
        let possible = match method {
            Method::Stored => bytes == kept_bytes,
            Method::Deflated => bytes / MAX_DEFLATE_RATIO <= kept_bytes,
        };
        if !possible {
            return Err(damaged(&format!(
                "{kept_bytes} bytes of the file cannot hold the {bytes} that it claims"
            )));
        }
        let crc = Some(member.crc32());
        arrays.push(Origin {
            path: path.into(),
            name: name.into(),
            offset,
            kept_bytes,
            bytes,
            method,
            crc,
        });
    }
    Ok(arrays)
}

impl Origin {
    /// An error about this array.
    pub fn error(&self, problem: impl Into<String>) -> Error {
        Error::Array {
            path: self.path.clone(),
            array: self.name.clone(),
            problem: problem.into(),
        }
    }

    /// Opens the array and reads its header; the bytes that follow are exactly the numbers.
    pub fn open(&self) -> Result<(Header, Stream), Error> {
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let file = File::open(&self.path).map_err(io)?;
        let inner = match self.method {
            Method::Stored => Inner::Stored {
                file,
                at: self.offset,
            },
            Method::Deflated => {
                let mut file = file;
                file.seek(SeekFrom::Start(self.offset)).map_err(io)?;
                let kept = BufReader::with_capacity(1 << 16, file.take(self.kept_bytes));
                Inner::Deflated(Box::new(flate2::bufread::DeflateDecoder::new(kept)))
            }
        };
        let mut stream = Stream {
            inner,
            left: self.bytes,
            crc: self.crc.map(|wanted| (wanted, Hasher::new())),
        };
        let header = Header::read(&mut stream).map_err(|problem| self.error(problem))?;
        let there = self.bytes.saturating_sub(header.length);
        match header.data_bytes() {
            Some(bytes) if bytes == there => Ok((header, stream)),
            Some(bytes) if bytes < there => Err(self.error(format!(
                "{} bytes follow the {bytes} of shape {:?}; save one array at a time",
                there - bytes,
                header.shape
            ))),
            _ => Err(self.error(format!(
                "it is cut short: shape {:?} of {} does not fit the {there} bytes there are",
                header.shape,
                header.element.name()
            ))),
        }
    }
}

/// The bytes of one array, one after the other.
pub(super) struct Stream {
    inner: Inner,
    /// Bytes still to come.
    left: u64,
    /// The checksum that belongs to the whole, and that of the bytes so far.
    crc: Option<(u32, Hasher)>,
}

enum Inner {
    /// Bytes that lie in the file as they are, from a position on.
    Stored {
        file: File,
        at: u64,
    },
    Deflated(Box<dyn Read + Send>),
}

/// A stretch of a stored array, read apart from its neighbours.
pub(super) struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
    crc: Hasher,
}

impl Stream {
    /// The next bytes as sections of these lengths, to be read in any order; `None` if they come only one after the
    /// other. [`Stream::skip`] goes on behind them.
    pub fn sections(&self, lengths: &[u64]) -> Option<Vec<Section<'_>>> {
        let &Inner::Stored { ref file, mut at } = &self.inner else {
            return None;
        };
        if lengths.iter().sum::<u64>() > self.left {
            return None;
        }
        let section = |&left: &u64| {
            let section = Section {
                file,
                at,
                left,
                crc: Hasher::new(),
            };
            at += left;
            section
        };
        Some(lengths.iter().map(section).collect())
    }

    /// Goes on behind bytes that sections have read, with their checksums in order.
    pub fn skip(&mut self, bytes: u64, checksums: &[Hasher]) -> io::Result<()> {
        if let Inner::Stored { at, .. } = &mut self.inner {
            *at += bytes;
        }
        self.left -= bytes;
        if let Some((_, crc)) = &mut self.crc {
            checksums.iter().for_each(|part| crc.combine(part));
        }
        self.check()
    }

    /// Compares the checksums at the end.
    fn check(&self) -> io::Result<()> {
        match &self.crc {
            Some((wanted, crc)) if self.left == 0 && crc.clone().finalize() != *wanted => {
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the checksum does not match, the file is damaged",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Reads at a position, whatever other threads read.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buffer, at);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buffer, at);
}

/// The part of a buffer to fill at once: not more than there is, and little enough to be still in the cache when its
/// checksum is taken.
fn most(buffer: &mut [u8], left: u64) -> &mut [u8] {
    const AT_ONCE: usize = 1 << 18;
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let most = buffer.len().min(left).min(AT_ONCE);
    &mut buffer[..most]
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let buffer = most(buffer, self.left);
        if buffer.is_empty() {
            return Ok(0);
        }
        let got = match &mut self.inner {
            Inner::Stored { file, at } => {
                let got = read_at(file, buffer, *at)?;
                *at += got as u64;
                got
            }
            Inner::Deflated(inner) => inner.read(buffer)?,
        };
        self.left -= got as u64;
        if let Some((_, crc)) = &mut self.crc {
            crc.update(&buffer[..got]);
        }
        self.check()?;
        Ok(got)
    }
}

impl Section<'_> {
    /// The checksum of what was read.
    pub fn checksum(self) -> Hasher {
        self.crc
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let buffer = most(buffer, self.left);
        if buffer.is_empty() {
            return Ok(0);
        }
        let got = read_at(self.file, buffer, self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        self.crc.update(&buffer[..got]);
        Ok(got)
    }
}
