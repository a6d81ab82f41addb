//! What is known of the event ids of a data file without comparing them: first its Parquet bloom
//! filters, then a fingerprint of each id.
//!
//! A bloom filter takes one new id in a thousand for a known one, or a few in a hundred if the file
//! is compacted, so that among the rows of a large chunk every row group has some. Decoding all their ids for each chunk would cost more than
//! everything else. The fingerprints of a row group are 32 bits per id, made when its ids are
//! decoded first and kept among the decoded objects; only what they know too is compared exactly.

use crate::data_file::read::{self, BucketReader};
use crate::error::{Error, Result};
use crate::event;
use crate::log::action::DataFile;
use crate::store::Store;
use arrow::array::AsArray;
use futures::TryStreamExt;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::bloom_filter::Sbbf;
use std::sync::Arc;
use xxhash_rust::xxh64::xxh64;

const BATCH_ROWS: usize = 64 * 1024;
/// The multipliers of Parquet's split block bloom filter.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The hash by which Parquet's bloom filters know a text.
pub(super) fn hash_of(id: &str) -> u64 {
    xxh64(id.as_bytes(), 0)
}

/// The bloom filter of the ids of one row group.
///
/// The filter of the `parquet` crate hashes the text each time; here one hash serves all row groups
/// of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdFilter {
    blocks: Vec<[u32; 8]>,
}

impl IdFilter {
    pub(super) fn of(filter: &Sbbf) -> parquet::errors::Result<Self> {
        let mut bytes = Vec::with_capacity(filter.num_blocks() * size_of::<[u32; 8]>());
        filter.write_bitset(&mut bytes)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &b| (word << 8) | u32::from(b));
        let (blocks, _) = bytes.as_chunks::<32>();
        let block = |block: &[u8; 32]| std::array::from_fn(|place| word(&block[place * 4..][..4]));
        Ok(Self { blocks: blocks.iter().map(block).collect() })
    }

    /// Whether an id of this hash may be in the row group; no is certain.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let place = ((hash >> 32) * self.blocks.len() as u64) >> 32;
        let Some(block) = self.blocks.get(place as usize) else {
            return true;
        };
        let low = hash as u32;
        let missing = SALT.iter().zip(block).fold(0, |missing, (salt, word)| {
            missing | (!word & (1 << (low.wrapping_mul(*salt) >> 27)))
        });
        missing == 0
    }
}

/// The filters of a file, one per row group; a row group without one is always looked into.
#[derive(Debug)]
pub(super) struct IdFilters {
    pub(super) row_groups: Vec<Option<IdFilter>>,
}

/// The filters of a file, from the cache if they are there.
pub(super) async fn filters_of(store: &Store, file: &DataFile) -> Result<Arc<IdFilters>> {
    let name = format!("{} filters", file.object.path);
    store
        .cached(&name, async {
            let mut builder = open(store, file).await?;
            let filters = load_filters(&mut builder)
                .await
                .map_err(|error| read::read_error(&file.object.path, error))?;
            let blocks: usize = filters.row_groups.iter().flatten().map(|f| f.blocks.len()).sum();
            Ok((filters, blocks * size_of::<[u32; 8]>()))
        })
        .await
}

async fn open(
    store: &Store,
    file: &DataFile,
) -> Result<ParquetRecordBatchStreamBuilder<BucketReader>> {
    let checksums = store.block_checksums(file).await?;
    read::open_checked(store.bucket(), &file.object, checksums).await
}

async fn load_filters(
    builder: &mut ParquetRecordBatchStreamBuilder<BucketReader>,
) -> parquet::errors::Result<IdFilters> {
    let columns = builder.parquet_schema().columns();
    let place = columns.iter().position(|column| column.name() == event::EVENT_ID).unwrap_or(0);
    let mut row_groups = Vec::new();
    for row_group in 0..builder.metadata().num_row_groups() {
        let filter = builder.get_row_group_column_bloom_filter(row_group, place).await?;
        row_groups.push(filter.as_ref().map(IdFilter::of).transpose()?);
    }
    Ok(IdFilters { row_groups })
}

/// A fingerprint of each id of one row group.
#[derive(Debug)]
pub(super) struct Fingerprints(Vec<u32>);

impl Fingerprints {
    /// Whether an id of this hash may be in the row group; no is certain.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.0.binary_search(&fingerprint(hash)).is_ok()
    }
}

/// Other bits than those that chose the block of the bloom filter, where all its hits agree.
fn fingerprint(hash: u64) -> u32 {
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// The fingerprints of a row group, from the cache if they are there.
pub(super) async fn fingerprints_of(
    store: &Store,
    file: &DataFile,
    row_group: usize,
) -> Result<Arc<Fingerprints>> {
    let name = format!("{} fingerprints {row_group}", file.object.path);
    store
        .cached(&name, async {
            let mut prints = Vec::new();
            for_each_id(store, file, row_group, |id| prints.push(fingerprint(hash_of(id)))).await?;
            prints.sort_unstable();
            let bytes = prints.len() * size_of::<u32>();
            Ok((Fingerprints(prints), bytes))
        })
        .await
}

/// Decodes the ids of a row group.
pub(super) async fn for_each_id(
    store: &Store,
    file: &DataFile,
    row_group: usize,
    mut visit: impl FnMut(&str),
) -> Result<()> {
    let path = &file.object.path;
    let builder = open(store, file).await?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [event::EVENT_ID]);
    let mut stream = builder
        .with_projection(mask)
        .with_row_groups(vec![row_group])
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| read::read_error(path, error))?;
    while let Some(batch) = stream.try_next().await.map_err(|e| read::read_error(path, e))? {
        let ids = batch.column(0).as_string_opt::<i32>();
        let ids = ids.ok_or_else(|| Error::corrupt(path, "event_id is not text"))?;
        ids.iter().flatten().for_each(&mut visit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, known events are taken in again.
    #[test]
    fn a_filter_answers_as_that_of_parquet() {
        let mut theirs = Sbbf::new_with_ndv_fpp(500, 0.05).unwrap();
        (0..500).for_each(|number| theirs.insert(format!("e{number}").as_str()));
        let ours = IdFilter::of(&theirs).unwrap();
        let mut wrong = 0;
        for number in 0..20_000 {
            let id = format!("e{number}");
            let answer = ours.may_hold(hash_of(&id));
            assert_eq!(answer, theirs.check(id.as_str()), "{id}");
            wrong += u32::from(answer && number >= 500);
        }
        assert!((1..2_000).contains(&wrong), "{wrong} false answers");
    }

    #[test]
    fn a_filter_without_blocks_excludes_nothing() {
        assert!(IdFilter { blocks: Vec::new() }.may_hold(7));
    }
}
