//! Snapshots saved beside the log, so that opening reads a few entries and not all.
//!
//! A checkpoint is a hint. It counts only when its bytes are whole and it names the attempt that
//! made the entry of its version; otherwise an older one, or the log alone, does its work.

use super::entry;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::layout;
use crate::snapshot::Snapshot;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Every so many commits a checkpoint is written.
pub const COMMITS_PER_CHECKPOINT: u64 = 64;

/// A checkpoint does not unpack to more than this: more is damage.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    /// The attempt of the entry at its version.
    attempt: String,
    snapshot: Snapshot,
}

/// Saves a snapshot. An error changes nothing for anybody but the next reader's waiting time.
pub(crate) async fn write(bucket: &Bucket, snapshot: &Snapshot, attempt: &str) -> Result<()> {
    let checkpoint = Checkpoint { attempt: attempt.to_owned(), snapshot: snapshot.clone() };
    let json = serde_json::to_vec(&checkpoint)
        .map_err(|error| Error::Internal(format!("a checkpoint is no JSON: {error}")))?;
    let path = layout::checkpoint(snapshot.version);
    let payload = zstd::encode_all(&json[..], 3)
        .map_err(|error| Error::Internal(format!("a checkpoint cannot be packed: {error}")))?;
    bucket.put_framed(FrameKind::Checkpoint, &path, &payload).await?;
    Ok(())
}

/// The newest good checkpoint that is not above a version.
pub(crate) async fn newest(bucket: &Bucket, not_above: u64) -> Option<Snapshot> {
    let mut versions: Vec<u64> = versions(bucket).await.unwrap_or_default();
    versions.retain(|version| *version <= not_above);
    versions.sort_unstable();
    for version in versions.into_iter().rev() {
        if let Ok(Some(snapshot)) = read(bucket, version).await {
            return Some(snapshot);
        }
    }
    None
}

/// The versions that have a checkpoint.
pub(crate) async fn versions(bucket: &Bucket) -> Result<Vec<u64>> {
    let mut listing = bucket.list(layout::CHECKPOINTS);
    let mut versions = Vec::new();
    while let Some(object) = listing.next().await {
        versions.extend(layout::version_of_checkpoint(&object?.path));
    }
    Ok(versions)
}

/// The checkpoint of a version, `None` when it does not belong to the log.
pub(crate) async fn read(bucket: &Bucket, version: u64) -> Result<Option<Snapshot>> {
    let path = layout::checkpoint(version);
    let Some(payload) = bucket.read_unreferenced(FrameKind::Checkpoint, &path).await? else {
        return Ok(None);
    };
    let checkpoint = decode(&path, &payload)?;
    let Some(entry) = entry::read(bucket, version).await? else {
        return Ok(None);
    };
    let belongs = entry.attempt == checkpoint.attempt && checkpoint.snapshot.version == version;
    Ok(belongs.then_some(checkpoint.snapshot))
}

fn decode(path: &str, payload: &[u8]) -> Result<Checkpoint> {
    let corrupt = |error: &dyn std::fmt::Display| Error::corrupt(path, error.to_string());
    let unpacked = zstd::Decoder::new(payload).map_err(|error| corrupt(&error))?;
    let mut json = Vec::new();
    unpacked.take(UNPACKED_BYTES_MAX).read_to_end(&mut json).map_err(|error| corrupt(&error))?;
    serde_json::from_slice(&json).map_err(|error| corrupt(&error))
}
