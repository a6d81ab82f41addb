//! Small real objects and commits of every kind.
//!
//! The batches of events are told apart by number. A data file holds the numbers of its batches as
//! its event names, so that a lost or a doubled batch shows in any snapshot.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use habitue_storage::Result;
use habitue_storage::bucket::Bucket;
use habitue_storage::data_file::FileIndexBuilder;
use habitue_storage::frame::FrameKind;
use habitue_storage::layout;
use habitue_storage::log::action::{
    Action, DataFile, DictionaryRun, LinkFile, ObjectRef, Operation, PartitionUnit, SortedBy,
    THIS_COMMIT,
};
use habitue_storage::log::commit::{CommitOutcome, DraftCommit};
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use parquet::arrow::AsyncArrowWriter;
use std::sync::Arc;

/// The batches that a snapshot holds, sorted; one that is there twice stands there twice.
pub fn batches(snapshot: &Snapshot) -> Vec<u64> {
    let names = snapshot.data_files.values().flat_map(|file| file.event_names.iter().flatten());
    let mut batches: Vec<u64> = names.map(|name| name.parse().unwrap()).collect();
    batches.sort_unstable();
    batches
}

/// What an ingest of one batch puts into the log: a data file, and new identifiers and links for
/// some batches. The objects are written.
pub async fn ingest_draft(
    store: &Store,
    based_on: &Arc<Snapshot>,
    batch: u64,
) -> Result<DraftCommit> {
    let bucket = store.bucket();
    let first_id = based_on.identifiers();
    let new_identifiers = 1 + u32::try_from(batch % 3).unwrap();
    let mut actions = vec![
        Action::AddDictionaryRun(write_run(bucket, first_id, new_identifiers).await?),
        Action::AddDataFile(write_data_file(bucket, &[batch], first_id).await?),
    ];
    if batch.is_multiple_of(2) {
        let object = write_parquet(bucket, &layout::links(bucket.new_uuid()), 1).await?;
        actions.push(Action::AddLinks(LinkFile { object, links: 1 }));
    }
    let based_on = Arc::clone(based_on);
    Ok(DraftCommit { based_on, operation: Operation::Ingest, events_added: 1, actions })
}

/// Ingests a batch as a careful client does: after a conflict it looks whether the batch is there
/// already, and drafts it anew if not.
pub async fn ingest(store: &Store, batch: u64) -> Result<Arc<Snapshot>> {
    let mut snapshot = store.snapshot().await?;
    loop {
        if batches(&snapshot).contains(&batch) {
            return Ok(snapshot);
        }
        let draft = ingest_draft(store, &snapshot, batch).await?;
        match store.commit(draft).await? {
            CommitOutcome::Committed(committed) => return Ok(committed),
            CommitOutcome::Conflict { snapshot: newest, .. } => snapshot = newest,
        }
    }
}

/// Two data files, if there are two, become one.
pub async fn compact_draft(store: &Store, based_on: &Arc<Snapshot>) -> Result<Option<DraftCommit>> {
    let files: Vec<&DataFile> = based_on.data_files.values().take(2).collect();
    let [first, second] = files[..] else {
        return Ok(None);
    };
    let mut merged = [first, second].map(|file| file.event_names.clone().unwrap()).concat();
    merged.sort_unstable_by_key(|name| name.parse::<u64>().unwrap());
    let numbers: Vec<u64> = merged.iter().map(|name| name.parse().unwrap()).collect();
    let identifier = first.identifier_min.unwrap();
    let mut file = write_data_file(store.bucket(), &numbers, identifier).await?;
    file.ingested_from = first.ingested_from.min(second.ingested_from);
    file.ingested_to = first.ingested_to.max(second.ingested_to);
    let gone = [first, second].map(|file| file.object.path.clone());
    let mut actions = gone.map(|path| Action::RemoveDataFile { path }).to_vec();
    actions.push(Action::AddDataFile(file));
    let based_on = Arc::clone(based_on);
    Ok(Some(DraftCommit { based_on, operation: Operation::Compact, events_added: 0, actions }))
}

/// Two data files become one; `false` when there were not two, or others were faster.
pub async fn compact(store: &Store) -> Result<bool> {
    let Some(draft) = compact_draft(store, &store.snapshot().await?).await? else {
        return Ok(false);
    };
    Ok(matches!(store.commit(draft).await?, CommitOutcome::Committed(_)))
}

/// A draft with these actions and nothing else.
pub fn draft(based_on: &Arc<Snapshot>, operation: Operation, actions: Vec<Action>) -> DraftCommit {
    DraftCommit { based_on: Arc::clone(based_on), operation, events_added: 0, actions }
}

/// Sets a setting of the catalog.
pub async fn change_setting(store: &Store, value: u64) -> Result<Arc<Snapshot>> {
    let edit = |catalog: &mut habitue_storage::catalog::Catalog| {
        catalog.settings.insert("value".into(), value.to_string());
        Ok(())
    };
    store.update_catalog(edit).await
}

pub async fn write_data_file(
    bucket: &Bucket,
    batches: &[u64],
    identifier: u32,
) -> Result<DataFile> {
    let rows: u64 = batches.iter().map(|batch| 1 + batch % 4).sum();
    let path = layout::data_file(PartitionUnit::Day, 0, bucket.new_uuid())?;
    let object = write_parquet(bucket, &path, rows).await?;
    let mut builder = FileIndexBuilder::default();
    for _ in 0..rows {
        builder.push(Some(identifier), Some(identifier))?;
    }
    let payload = builder.finish().encode_for(&bucket.read(&object).await?)?;
    let index_path = layout::index_of(&path);
    let index = bucket.put_framed(FrameKind::Index, &index_path, &payload).await?;
    Ok(DataFile {
        object,
        index,
        rows,
        ts_min_us: 0,
        ts_max_us: 1,
        partition_unit: PartitionUnit::Day,
        partition_start_us: 0,
        event_names: Some(batches.iter().map(u64::to_string).collect()),
        identifier_min: Some(identifier),
        identifier_max: Some(identifier),
        sorted_by: SortedBy::Identifier,
        ingested_from: THIS_COMMIT,
        ingested_to: THIS_COMMIT,
    })
}

pub async fn write_run(bucket: &Bucket, first_id: u32, count: u32) -> Result<DictionaryRun> {
    let path = layout::dictionary_run(bucket.new_uuid());
    let object = write_parquet(bucket, &path, u64::from(count)).await?;
    Ok(DictionaryRun { object, first_id, count })
}

pub async fn write_parquet(bucket: &Bucket, path: &str, rows: u64) -> Result<ObjectRef> {
    let numbers: ArrayRef =
        Arc::new(UInt32Array::from_iter_values(0..u32::try_from(rows).unwrap()));
    let batch = RecordBatch::try_from_iter([("identifier_id", numbers)]).unwrap();
    let mut object = bucket.writer(path).await?;
    let mut parquet = AsyncArrowWriter::try_new(&mut object, batch.schema(), None).unwrap();
    parquet.write(&batch).await.unwrap();
    parquet.close().await.unwrap();
    object.finish().await
}
