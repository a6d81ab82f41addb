//! From files to the stitcher's state, and back.

use super::{IdentityChanges, StatedLink, Stitcher, Stored};
use crate::bucket::Bucket;
use crate::catalog::Catalog;
use crate::dictionary::run::{self, RUN_IDENTIFIERS_MAX, decode_run, encode_run, run_schema};
use crate::dictionary::{Dictionary, Layer};
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::identity::link_file::{
    self, FILE_LINKS_MAX, LinkRow, decode_batches, encode_links, link_schema,
};
use crate::identity::link_table::LinkTable;
use crate::identity::map_file::{self, MapFile};
use crate::identity::rules::{Link, LinkKind};
use crate::layout;
use crate::log::action::{Action, DictionaryRun, IdentityMapRef, LinkFile, ObjectRef};
use crate::merge_plan::first_to_merge;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Stitcher {
    /// The state of a snapshot: the one that was parked after the commit that made it, or read
    /// from its files.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub async fn load(store: &Store, snapshot: &Snapshot) -> Result<Self> {
        if let Some(mut parked) = store.identities().take_parked(snapshot) {
            parked.stored = Stored::of(snapshot);
            return Ok(parked);
        }
        let catalog = store.catalog(snapshot).await?;
        let mut stitcher = Self::read(store, snapshot, &catalog).await?;
        stitcher.rebuild_components();
        Ok(stitcher)
    }

    /// The state as it lies in files, under the rules of a catalog; components and degrees are not
    /// built.
    pub(crate) async fn read(
        store: &Store,
        snapshot: &Snapshot,
        catalog: &Catalog,
    ) -> Result<Self> {
        let mut stitcher = Self::new(catalog);
        stitcher.stored = Stored::of(snapshot);
        let facts = store.identifier_facts(snapshot, catalog).await?;
        stitcher.dictionary = store.identities().dictionary();
        if stitcher.dictionary.len() != snapshot.identifiers() {
            let hashes = facts.iter().map(|facts| facts.hash).collect();
            stitcher.dictionary = Dictionary::default();
            stitcher.dictionary.append(Layer::from_hashes(0, hashes));
            store.identities().put_dictionary(&stitcher.dictionary);
        }
        stitcher.fresh = Layer::new(stitcher.dictionary.len());
        stitcher.namespaces = facts.iter().map(|facts| facts.namespace).collect();
        let numbered = (0_u32..).zip(&facts).filter(|(_, facts)| facts.blocked);
        stitcher.blocked = numbered.map(|(identifier, _)| identifier).collect();
        drop(facts);
        stitcher.read_links(store, snapshot).await?;
        stitcher.customers = store.identity_map(snapshot).await?.as_slice().to_vec();
        Ok(stitcher)
    }

    async fn read_links(&mut self, store: &Store, snapshot: &Snapshot) -> Result<()> {
        let count: u64 = snapshot.link_files.values().map(|file| file.links).sum();
        let mut links = LinkTable::with_capacity(usize::try_from(count).unwrap_or_default());
        let mut stated = Vec::new();
        let take = |link: Link, details: link_file::Details<'_>| {
            if link.kind == LinkKind::Observed {
                links.see(link.a, link.b, link.valid_from_us)?;
                return Ok(());
            }
            stated.push(StatedLink {
                link,
                source: details.source.into(),
                reason: details.evidence.into(),
                weight: details.weight,
                is_stored: true,
            });
            Ok(())
        };
        store.read_all_links(snapshot, take).await?;
        self.links = links;
        self.links_stored = self.links.len();
        self.set_stated(stated);
        Ok(())
    }

    /// Writes what changed since the snapshot, and answers the actions that make it part of a
    /// commit. Small files of earlier commits are merged on the way, so that a database with many
    /// small commits opens quickly.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&self, store: &Store, changes: &IdentityChanges) -> Result<Vec<Action>> {
        let bucket = store.bucket();
        let mut actions = Vec::new();
        let has_identifiers = !self.new.values.is_empty();
        if has_identifiers {
            actions.extend(merge_runs(bucket, &self.stored.runs).await?);
            for run in self.write_run(bucket).await? {
                actions.push(Action::AddDictionaryRun(run));
            }
        }
        let rows = self.new_link_rows();
        if !rows.is_empty() {
            actions.extend(merge_links(bucket, &self.stored.links).await?);
            for chunk in rows.chunks(FILE_LINKS_MAX) {
                let file = write_link_file(bucket, &[link_file::rows(chunk)?]).await?;
                actions.push(Action::AddLinks(file));
            }
        }
        if has_identifiers || !changes.moved.is_empty() {
            actions.push(Action::SetIdentityMap(self.write_map(bucket, changes).await?));
        }
        Ok(actions)
    }

    /// Keeps the state, after its commit, for the next ingest of this process. `snapshot` is the
    /// one that the commit made.
    pub fn park(mut self, store: &Store, snapshot: &Snapshot) {
        if self.identifiers() != snapshot.identifiers() {
            // Somebody else's commit is in it too: the next ingest reads the files.
            return;
        }
        self.settle();
        store.identities().put_dictionary(&self.dictionary);
        self.stored = Stored::of(snapshot);
        store.identities().park(self, snapshot);
    }

    async fn write_run(&self, bucket: &Bucket) -> Result<Vec<DictionaryRun>> {
        let names: Vec<&str> = self.namespace_names.iter().map(String::as_str).collect();
        let first = self.dictionary.len();
        let mut runs = Vec::new();
        for from in (0..self.new.values.len()).step_by(RUN_IDENTIFIERS_MAX) {
            let to = (from + RUN_IDENTIFIERS_MAX).min(self.new.values.len());
            let rows = self.new.rows(first, from, to, &names)?;
            runs.push(write_run(bucket, first + from as u32, &[rows]).await?);
        }
        Ok(runs)
    }

    fn new_link_rows(&self) -> Vec<LinkRow> {
        let source: Arc<str> = self.source.as_str().into();
        let new = (self.links_stored..).zip(&self.evidence);
        let mut earlier: Vec<(u32, &Box<str>)> =
            self.earlier.iter().map(|(place, evidence)| (*place, evidence)).collect();
        earlier.sort_unstable();
        let observed = new.chain(earlier).map(|(place, evidence)| {
            let (a, b) = self.links.pair(place);
            let valid_from_us = self.links.valid_from_us(place);
            LinkRow {
                link: Link { a, b, kind: LinkKind::Observed, valid_from_us },
                source: Arc::clone(&source),
                evidence: evidence.to_string(),
                weight: 1.0,
            }
        });
        let stated = self.stated.iter().filter(|stated| !stated.is_stored);
        let stated = stated.map(|stated| LinkRow {
            link: stated.link,
            source: stated.source.as_str().into(),
            evidence: stated.reason.clone(),
            weight: stated.weight,
        });
        observed.chain(stated).collect()
    }

    async fn write_map(
        &self,
        bucket: &Bucket,
        changes: &IdentityChanges,
    ) -> Result<IdentityMapRef> {
        let identifiers = self.identifiers();
        let own = (0_u32..).zip(&self.customers).filter(|(identifier, own)| identifier == *own);
        let mut map = IdentityMapRef {
            identifiers,
            customers: own.count() as u32,
            ..self.stored.map.clone()
        };
        if changes.moved.is_empty() {
            return Ok(map);
        }
        let delta = map_file::encode_delta(identifiers, &changes.moved)?;
        let base_bytes = map.base.as_ref().map_or(0, |base| base.bytes);
        let mut sizes = vec![base_bytes];
        sizes.extend(map.deltas.iter().map(|delta| delta.bytes));
        sizes.push(delta.len() as u64);
        let is_most = changes.moved.len() as u64 * 2 > u64::from(identifiers);
        // The first place is the base; one that is not there yet is made as soon as there is
        // anything to merge with it.
        match first_to_merge(&sizes) {
            start if start == Some(0) || is_most => {
                let payload = map_file::encode_base(&self.customers)?;
                map.base = Some(put_map(bucket, &payload).await?);
                map.deltas.clear();
            }
            Some(start) => {
                let merged = map.deltas.split_off(start - 1);
                let moved = self.moved_by(bucket, &merged, changes).await?;
                let payload = map_file::encode_delta(identifiers, &moved)?;
                map.deltas.push(put_map(bucket, &payload).await?);
            }
            None => map.deltas.push(put_map(bucket, &delta).await?),
        }
        Ok(map)
    }

    /// What identifiers are now that some deltas and these changes moved.
    async fn moved_by(
        &self,
        bucket: &Bucket,
        deltas: &[ObjectRef],
        changes: &IdentityChanges,
    ) -> Result<Vec<(u32, u32)>> {
        let mut moved: BTreeSet<u32> =
            changes.moved.iter().map(|(identifier, _)| *identifier).collect();
        for delta in deltas {
            let payload = bucket.read_framed(FrameKind::IdentityMap, delta).await?;
            match map_file::decode(&delta.path, &payload, self.identifiers())? {
                MapFile::Delta { moved: earlier, .. } => {
                    moved.extend(earlier.iter().map(|(identifier, _)| *identifier));
                }
                MapFile::Base(_) => {
                    return Err(Error::corrupt(&delta.path, "it is a base, wanted a delta"));
                }
            }
        }
        let now = |identifier: u32| (identifier, self.customers[identifier as usize]);
        Ok(moved.into_iter().map(now).collect())
    }
}

impl Stored {
    fn of(snapshot: &Snapshot) -> Self {
        let mut links: Vec<LinkFile> = snapshot.link_files.values().cloned().collect();
        // Their order means nothing: the largest stand where a merge reaches them last.
        links.sort_by_key(|file| std::cmp::Reverse(file.links));
        Self {
            runs: snapshot.dictionary_runs.values().cloned().collect(),
            links,
            map: snapshot.identity_map.clone(),
        }
    }
}

/// Merges the last of the runs when there are many small ones.
async fn merge_runs(bucket: &Bucket, runs: &[DictionaryRun]) -> Result<Option<Action>> {
    let full = runs.iter().rposition(|run| run.count as usize >= RUN_IDENTIFIERS_MAX);
    let small = &runs[full.map_or(0, |full| full + 1)..];
    let sizes: Vec<u64> = small.iter().map(|run| u64::from(run.count)).collect();
    let Some(start) = first_to_merge(&sizes) else {
        return Ok(None);
    };
    let merged = &small[start..];
    let schema = run_schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut batches = Vec::new();
    for run in merged {
        batches.extend(decode_run(run, bucket.read(&run.object).await?, &names)?);
    }
    let mut added = Vec::new();
    let mut first = merged[0].first_id;
    for rows in chunks_of(&schema, &batches, RUN_IDENTIFIERS_MAX)? {
        let run = write_run(bucket, first, &[rows]).await?;
        first += run.count;
        added.push(run);
    }
    let removed = merged.iter().map(|run| run.object.path.clone()).collect();
    Ok(Some(Action::ReplaceDictionaryRuns { removed, added }))
}

/// Merges the smallest link files when there are many.
async fn merge_links(bucket: &Bucket, files: &[LinkFile]) -> Result<Option<Action>> {
    let small = files.partition_point(|file| file.links >= FILE_LINKS_MAX as u64);
    let sizes: Vec<u64> = files[small..].iter().map(|file| file.links).collect();
    let Some(start) = first_to_merge(&sizes) else {
        return Ok(None);
    };
    let merged = &files[small + start..];
    let mut batches = Vec::new();
    for file in merged {
        let object = bucket.read(&file.object).await?;
        batches.extend(decode_batches(&file.object.path, object)?);
    }
    let mut added = Vec::new();
    for rows in chunks_of(&link_schema(), &batches, FILE_LINKS_MAX)? {
        added.push(write_link_file(bucket, &[rows]).await?);
    }
    let removed = merged.iter().map(|file| file.object.path.clone()).collect();
    Ok(Some(Action::ReplaceLinks { removed, added }))
}

fn chunks_of(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    rows_max: usize,
) -> Result<Vec<RecordBatch>> {
    let all = concat_batches(schema, batches).map_err(|source| Error::Arrow {
        during: "merging identity files".into(),
        source: Arc::new(source),
    })?;
    let starts = (0..all.num_rows()).step_by(rows_max);
    Ok(starts.map(|start| all.slice(start, rows_max.min(all.num_rows() - start))).collect())
}

async fn write_run(bucket: &Bucket, first_id: u32, rows: &[RecordBatch]) -> Result<DictionaryRun> {
    let bytes = encode_run(rows)?;
    let object = bucket.put_new(&layout::dictionary_run(bucket.new_uuid()), bytes.into()).await?;
    let count = run::count_of(rows);
    Ok(DictionaryRun { object, first_id, count })
}

async fn write_link_file(bucket: &Bucket, rows: &[RecordBatch]) -> Result<LinkFile> {
    let links = rows.iter().map(|rows| rows.num_rows() as u64).sum();
    let bytes = encode_links(rows)?;
    let object = bucket.put_new(&layout::links(bucket.new_uuid()), bytes.into()).await?;
    Ok(LinkFile { object, links })
}

async fn put_map(bucket: &Bucket, payload: &[u8]) -> Result<ObjectRef> {
    let path = layout::identity_map(bucket.new_uuid());
    bucket.put_framed(FrameKind::IdentityMap, &path, payload).await
}
