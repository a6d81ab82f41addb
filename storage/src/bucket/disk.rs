//! What the local store asks of the operating system, one call per step that matters for
//! durability, so that a test can watch their order.

use std::fs::{File, OpenOptions};
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::Path;

/// The file system calls of the durable local store.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> Result<File>;
    /// Writes into a file that [`Disk::create`] gave.
    fn write(&self, file: &mut File, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Makes the content of a file durable.
    fn sync_file(&self, file: &File, path: &Path) -> Result<()>;
    /// Gives a file a second name, which must not exist.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Takes a name away.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Creates one directory; it may exist.
    fn create_directory(&self, path: &Path) -> Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> Result<()>;
}

/// The operating system itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write(&self, file: &mut File, offset: u64, bytes: &[u8]) -> Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync_file(&self, file: &File, _path: &Path) -> Result<()> {
        file.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}
