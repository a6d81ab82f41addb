//! Where bytes come from: files, standard input or memory; decompressed, with their first bytes seen.

use crate::error::{Error, Result};
use bytes::Bytes;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is ingested: one file, or something like it.
pub enum Input {
    /// A local file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Bytes in memory under a name, whose extension may tell the format.
    Bytes {
        /// What messages and `system.rejected_events` call it.
        name: String,
        /// The whole content.
        bytes: Bytes,
    },
    /// Anything that can be read once, under a name.
    Reader {
        /// What messages and `system.rejected_events` call it.
        name: String,
        /// Where the bytes come from.
        reader: Box<dyn Read + Send>,
    },
}

/// How many first bytes are looked at.
const HEAD_BYTES: usize = 64 << 10;

/// An input that has been opened and decompressed.
pub(super) struct Source {
    /// What messages call it.
    pub name: String,
    /// The first bytes, decompressed; they are also the first that the reader gives.
    pub head: Vec<u8>,
    /// Bytes as they lie in the input: read so far, and in all where that is known.
    pub bytes_read: Arc<AtomicU64>,
    pub bytes_total: Option<u64>,
    reader: Box<dyn Read + Send>,
    /// The file itself when it is one and not compressed: it can be read at any place.
    file: Option<File>,
}

impl Input {
    /// An input for a command's argument: `-` is standard input.
    pub fn from_argument(argument: &str) -> Self {
        if argument == "-" { Self::Stdin } else { Self::File(argument.into()) }
    }

    /// Bytes in memory under a name, whose extension may tell the format.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::Bytes { name: name.into(), bytes: bytes.into() }
    }

    /// What messages and `system.rejected_events` call it: of a file its name without the folder.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => {
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
            Self::Stdin => "stdin".into(),
            Self::Bytes { name, .. } | Self::Reader { name, .. } => name.clone(),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Input").field(&self.name()).finish()
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&str> for Input {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl Source {
    /// Opens the input and looks at its first bytes. Blocks.
    pub fn open(input: Input) -> Result<Self> {
        let name = input.name();
        let read_error = |source| Error::input(&name, "read", source);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let (raw, file, bytes_total) = open_raw(input)?;
        let mut raw = Counting { reader: raw, bytes_read: bytes_read.clone() };
        let raw_head = read_head(&mut raw).map_err(read_error)?;
        let compression = Compression::of(&raw_head);
        let raw = Cursor::new(raw_head).chain(raw);
        let mut reader: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(
                BufReader::with_capacity(HEAD_BYTES, raw),
            )),
            Compression::Zstd => {
                Box::new(zstd::stream::read::Decoder::new(raw).map_err(read_error)?)
            }
        };
        let head = read_head(&mut reader).map_err(read_error)?;
        let reader = Box::new(Cursor::new(head.clone()).chain(reader));
        let file = file.filter(|_| compression == Compression::None);
        Ok(Self { name, head, bytes_read, bytes_total, reader, file })
    }

    /// The bytes in order.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        self.reader
    }

    /// A file that can be read at any place: the input itself, or a temporary copy of it that
    /// goes when it is closed.
    pub fn into_file(mut self, spill_dir: &Path) -> Result<File> {
        if let Some(mut file) = self.file {
            file.rewind().map_err(|source| Error::input(&self.name, "read", source))?;
            return Ok(file);
        }
        let spill_error = |source| Error::input(&self.name, "copy", source);
        std::fs::create_dir_all(spill_dir).map_err(spill_error)?;
        let mut file = tempfile::tempfile_in(spill_dir).map_err(spill_error)?;
        io::copy(&mut self.reader, &mut file).map_err(spill_error)?;
        file.flush().and_then(|()| file.rewind()).map_err(spill_error)?;
        Ok(file)
    }
}

type Raw = (Box<dyn Read + Send>, Option<File>, Option<u64>);

fn open_raw(input: Input) -> Result<Raw> {
    let name = input.name();
    Ok(match input {
        Input::File(path) => {
            let open_error = |source| Error::input(path.display().to_string(), "open", source);
            let file = File::open(&path).map_err(open_error)?;
            let facts = file.metadata().map_err(open_error)?;
            if facts.is_dir() {
                return Err(Error::unreadable(name, "it is a folder; name its files"));
            }
            // A pipe or device has no length and cannot be read at any place.
            let is_file = facts.is_file();
            let copy = is_file.then(|| file.try_clone()).transpose().map_err(open_error)?;
            (Box::new(file), copy, is_file.then_some(facts.len()))
        }
        Input::Stdin => (Box::new(io::stdin()), None, None),
        Input::Bytes { bytes, .. } => {
            let length = bytes.len() as u64;
            (Box::new(Cursor::new(bytes)), None, Some(length))
        }
        Input::Reader { reader, .. } => (reader, None, None),
    })
}

fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[derive(Clone, Copy, PartialEq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// Counts what is read, for progress.
struct Counting<R> {
    reader: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
