//! The index object of a data file: the checksums of its blocks and the [`FileIndex`].

use super::FileIndex;
use super::blocks::BlockChecksums;
use crate::bucket::Bucket;
use crate::error::Result;
use crate::frame::FrameKind;
use crate::log::action::DataFile;
use bytes::Bytes;

/// From this format on the checksums of blocks stand before the groups.
const FORMAT_WITH_CHECKSUMS: u32 = 2;

/// An index object that was read, its groups not decoded yet.
pub(crate) struct IndexObject {
    path: String,
    /// `None` in files of before there were any.
    pub(crate) checksums: Option<BlockChecksums>,
    groups: Bytes,
}

impl IndexObject {
    /// Reads that of a data file.
    pub(crate) async fn read(bucket: &Bucket, file: &DataFile) -> Result<Self> {
        let (format, payload) = bucket.read_framed_as(FrameKind::Index, &file.index).await?;
        Self::open(&file.index.path, format, payload, file.object.bytes)
    }

    /// Takes the payload of a format apart, of the index of a data file of this size.
    pub(crate) fn open(path: &str, format: u32, mut payload: Bytes, bytes: u64) -> Result<Self> {
        let path = path.to_owned();
        if format < FORMAT_WITH_CHECKSUMS {
            return Ok(Self { path, checksums: None, groups: payload });
        }
        let (checksums, read) = BlockChecksums::decode(&path, bytes, &payload)?;
        let groups = payload.split_off(read);
        Ok(Self { path, checksums: Some(checksums), groups })
    }

    /// Decodes the groups of a file of this many rows.
    pub(crate) fn groups(&self, rows: u64) -> Result<FileIndex> {
        FileIndex::decode(&self.path, &self.groups, rows)
    }

    /// The payload to be framed.
    pub(super) fn encode(checksums: &BlockChecksums, groups: &FileIndex) -> Result<Vec<u8>> {
        let mut payload = Vec::new();
        checksums.encode(&mut payload);
        payload.extend_from_slice(&groups.encode()?);
        Ok(payload)
    }
}
