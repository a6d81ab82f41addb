//! One entry of the log as bytes: one line of JSON and the trailer of a [`crate::frame`].

use super::action::LogEntry;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::frame::{self, FrameKind};
use crate::layout;
use bytes::Bytes;

/// The format of entries that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The bytes of an entry.
pub(crate) fn encode(entry: &LogEntry) -> Result<Bytes> {
    let payload = serde_json::to_vec(entry)
        .map_err(|error| Error::Internal(format!("an entry of the log is no JSON: {error}")))?;
    Ok(frame::seal(FrameKind::Log, &payload).into())
}

/// The entry of a version; `None` when that version does not exist.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::NewerFormat`] or [`Error::ObjectStore`].
pub async fn read(bucket: &Bucket, version: u64) -> Result<Option<LogEntry>> {
    let path = layout::log_entry(version);
    let Some(payload) = bucket.read_unreferenced(FrameKind::Log, &path).await? else {
        return Ok(None);
    };
    decode(&path, version, &payload).map(Some)
}

/// Reads the payload of an entry, which must be of this version.
pub(crate) fn decode(path: &str, version: u64, payload: &[u8]) -> Result<LogEntry> {
    let entry: LogEntry = serde_json::from_slice(payload)
        .map_err(|error| Error::corrupt(path, format!("not an entry of the log: {error}")))?;
    if entry.format > FORMAT {
        let format = entry.format;
        return Err(Error::NewerFormat { path: path.into(), format, newest_known: FORMAT });
    }
    if entry.version != version {
        let reason = format!("it says version {}, its name says {version}", entry.version);
        return Err(Error::corrupt(path, reason));
    }
    Ok(entry)
}
