//! One object that the log names: its bytes, its syntax, and what the log says of it.

use crate::bucket::Bucket;
use crate::catalog::Catalog;
use crate::data_file::index_object::IndexObject;
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::log::action::{Action, DataFile, DictionaryRun, LinkFile, ObjectRef, SegmentVersion};
use crate::segment;
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;

/// The footer's length and the magic bytes close a Parquet file.
const FOOTER_TAIL_BYTES: u64 = 8;

/// What an object is for, with what the log says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A Parquet file with this many rows.
    Parquet {
        rows: u64,
    },
    /// The index of a data file with this many rows and bytes.
    Index {
        rows: u64,
        bytes: u64,
    },
    /// A base or a delta of the identity map; what is in it is compared as a whole.
    IdentityMap,
    Catalog,
    /// A bitmap of this many customers.
    Bitmap {
        customers: u64,
    },
}

/// The objects that an action brings in.
pub(super) fn roles_of(action: &Action) -> Vec<(ObjectRef, Role)> {
    let parquet = |object: &ObjectRef, rows| (object.clone(), Role::Parquet { rows });
    let run = |run: &DictionaryRun| parquet(&run.object, u64::from(run.count));
    let links = |file: &LinkFile| parquet(&file.object, file.links);
    match action {
        Action::AddDataFile(file) => data_file_roles(file),
        Action::AddDictionaryRun(added) => vec![run(added)],
        Action::ReplaceDictionaryRuns { added, .. } => added.iter().map(run).collect(),
        Action::AddLinks(added) => vec![links(added)],
        Action::ReplaceLinks { added, .. } => added.iter().map(links).collect(),
        Action::SetIdentityMap(map) => {
            map.objects().map(|object| (object.clone(), Role::IdentityMap)).collect()
        }
        Action::AddRejected(file) => vec![parquet(&file.object, file.rows)],
        Action::SetCatalog(object) => vec![(object.clone(), Role::Catalog)],
        Action::AddSegmentVersion(version) => bitmap_roles(version),
        Action::RemoveDataFile { .. }
        | Action::DropSegment { .. }
        | Action::ExpireVersions { .. } => Vec::new(),
    }
}

fn data_file_roles(file: &DataFile) -> Vec<(ObjectRef, Role)> {
    let (rows, bytes) = (file.rows, file.object.bytes);
    vec![
        (file.object.clone(), Role::Parquet { rows }),
        (file.index.clone(), Role::Index { rows, bytes }),
    ]
}

fn bitmap_roles(version: &SegmentVersion) -> Vec<(ObjectRef, Role)> {
    let counts = [version.customers, version.customers_entered, version.customers_left];
    let bitmaps = version.objects().into_iter().cloned();
    bitmaps.zip(counts.map(|customers| Role::Bitmap { customers })).collect()
}

/// Reads an object back.
pub(super) async fn check(bucket: &Bucket, object: &ObjectRef, role: &Role) -> Result<()> {
    let path = &object.path;
    match role {
        Role::Parquet { rows } => {
            bucket.check(object).await?;
            let found = parquet_footer(bucket, object).await?.file_metadata().num_rows();
            require(u64::try_from(found).ok() == Some(*rows), path, || {
                format!("it has {found} rows, wanted {rows}")
            })
        }
        Role::Index { rows, bytes } => {
            let (format, payload) = bucket.read_framed_as(FrameKind::Index, object).await?;
            IndexObject::open(path, format, payload, *bytes)?.groups(*rows).map(drop)
        }
        Role::IdentityMap => bucket.read_framed(FrameKind::IdentityMap, object).await.map(drop),
        Role::Catalog => {
            let payload = bucket.read_framed(FrameKind::Catalog, object).await?;
            serde_json::from_slice::<Catalog>(&payload)
                .map(drop)
                .map_err(|error| Error::corrupt(path, format!("no catalog: {error}")))
        }
        Role::Bitmap { customers } => {
            let payload = bucket.read_framed(FrameKind::Bitmap, object).await?;
            let found = segment::decode(path, &payload)?.len();
            require(found == *customers, path, || {
                format!("it has {found} customers, wanted {customers}")
            })
        }
    }
}

/// The footer of a Parquet file.
async fn parquet_footer(bucket: &Bucket, object: &ObjectRef) -> Result<ParquetMetaData> {
    let path = &object.path;
    let refused = |source| Error::Parquet { path: path.clone(), source: Arc::new(source) };
    let tail_start = object.bytes.saturating_sub(FOOTER_TAIL_BYTES);
    let tail = read_range(bucket, path, tail_start..object.bytes).await?;
    let tail: [u8; FOOTER_TAIL_BYTES as usize] = tail[..]
        .try_into()
        .map_err(|_| Error::corrupt(path, "it is too short to be a Parquet file"))?;
    let tail = FooterTail::try_new(&tail).map_err(refused)?;
    let start = tail_start
        .checked_sub(tail.metadata_length() as u64)
        .ok_or_else(|| Error::corrupt(path, "its footer is longer than the file"))?;
    let footer = read_range(bucket, path, start..tail_start).await?;
    ParquetMetaDataReader::decode_metadata(&footer).map_err(refused)
}

async fn read_range(
    bucket: &Bucket,
    path: &str,
    range: std::ops::Range<u64>,
) -> Result<bytes::Bytes> {
    let parts = bucket.read_ranges(path, std::slice::from_ref(&range)).await?;
    let part = parts.into_iter().next().unwrap_or_default();
    let wanted = range.end - range.start;
    require(part.len() as u64 == wanted, path, || {
        format!("the store gave {} of {wanted} bytes", part.len())
    })?;
    Ok(part)
}

fn require(holds: bool, path: &str, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::corrupt(path, otherwise())) }
}
