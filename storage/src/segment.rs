//! Versions of segments: who is a member, who entered, who left, as portable roaring bitmaps.

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::layout;
use crate::log::action::{Action, ObjectRef, Operation, SegmentVersion};
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::log::computation::Computation;
use crate::snapshot::Snapshot;
use crate::store::Store;
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So often publishing is tried again when others commit in between.
const PUBLISH_TRIES: u32 = 1_000;
/// So many segments are written at once.
const SEGMENTS_AT_ONCE: usize = 16;
/// A bitmap has at most one container for each value of the upper 16 bits.
const CONTAINERS_MAX: usize = 1 << 16;

/// What a refresh found out about one segment.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSegmentVersion {
    /// Which segment.
    pub segment_id: u32,
    /// [`SegmentDefinition::defined_at_us`](crate::catalog::SegmentDefinition::defined_at_us) of
    /// the definition by which it was computed.
    pub defined_at_us: i64,
    /// The version of the database whose events and identities it was computed from.
    pub computed_at: u64,
    /// The members by their customer_id in that version.
    pub members: RoaringBitmap,
    /// How they were found, if the next refresh may build on it.
    pub computation: Option<Computation>,
}

impl Store {
    /// Commits new versions of some segments together, and says what they became.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a segment was dropped or defined anew after it was computed: then
    /// nothing is published.
    pub async fn publish_segments(
        &self,
        segments: Vec<NewSegmentVersion>,
    ) -> Result<Vec<SegmentVersion>> {
        let segments: Vec<Arc<NewSegmentVersion>> = segments.into_iter().map(Arc::new).collect();
        let mut based_on = self.snapshot().await?;
        for _ in 0..PUBLISH_TRIES {
            let catalog = self.catalog(&based_on).await?;
            let computed_at = segments.iter().map(|segment| segment.computed_at).max();
            if !segments.iter().all(|segment| is_current(&catalog, segment)) {
                let version = based_on.version;
                return Err(Error::Conflict { based_on: computed_at.unwrap_or(0), version });
            }
            let versions = self.write_segments(&based_on, &segments).await?;
            let draft = DraftCommit {
                based_on: Arc::clone(&based_on),
                operation: Operation::RefreshSegments,
                events_added: 0,
                actions: versions.iter().cloned().map(Action::AddSegmentVersion).collect(),
            };
            match self.commit(draft).await? {
                CommitOutcome::Committed(_) => return Ok(versions),
                CommitOutcome::Conflict { snapshot, .. } => based_on = snapshot,
            }
        }
        let version = based_on.version;
        Err(Error::Conflict { based_on: version, version })
    }

    /// Gives a segment a definition and its first version under it, as one commit: there is never
    /// a definition without members. `edit` must put the segment `name` into the catalog; it may
    /// run again when others commit in between.
    ///
    /// # Errors
    /// What `edit` says, and what the store says; then nothing is changed.
    pub async fn define_segment(
        &self,
        name: &str,
        edit: impl Fn(&mut Catalog) -> Result<()> + Send + Sync,
        computed_at: u64,
        members: RoaringBitmap,
        computation: Option<Computation>,
    ) -> Result<SegmentVersion> {
        let further = |snapshot: Arc<Snapshot>, catalog: &Catalog| {
            let defined = catalog.segments.get(name).map(|segment| NewSegmentVersion {
                segment_id: segment.id,
                defined_at_us: segment.defined_at_us,
                computed_at,
                members: members.clone(),
                computation: computation.clone(),
            });
            let (store, name) = (self.clone(), name.to_owned());
            let version = async move {
                let undefined = || Error::Internal(format!("segment '{name}' was not defined"));
                let segment = defined.ok_or_else(undefined)?;
                let version = store.write_segment(&snapshot, &segment).await?;
                Ok(vec![Action::AddSegmentVersion(version)])
            };
            version.boxed()
        };
        let committed = self.update_catalog_and(edit, further).await?;
        let catalog = self.catalog(&committed).await?;
        let versions = catalog
            .segments
            .get(name)
            .and_then(|segment| committed.segment_versions.get(&segment.id)?.last());
        versions.cloned().ok_or_else(|| Error::Internal(format!("segment '{name}' has no version")))
    }

    /// Forgets segments and their versions, as one commit. `choose` names those that go; it may run
    /// again when others commit in between.
    ///
    /// # Errors
    /// What `choose` says, and what the store says; then nothing is changed.
    pub async fn drop_segments(
        &self,
        choose: impl Fn(&Catalog) -> Result<BTreeSet<String>> + Send + Sync,
    ) -> Result<()> {
        let edit = |catalog: &mut Catalog| {
            let names = choose(catalog)?;
            catalog.segments.retain(|name, _| !names.contains(name));
            Ok(())
        };
        let further = |snapshot: Arc<Snapshot>, catalog: &Catalog| {
            // Numbers of segments are never used twice, so what has no name is needed by nobody.
            let named: BTreeSet<u32> =
                catalog.segments.values().map(|segment| segment.id).collect();
            let unnamed = snapshot.segment_versions.keys().filter(|id| !named.contains(id));
            let actions = unnamed.map(|&segment_id| Action::DropSegment { segment_id }).collect();
            future::ready(Ok(actions)).boxed()
        };
        self.update_catalog_and(edit, further).await.map(drop)
    }

    /// The customers of a bitmap of a segment.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Corrupt`].
    pub async fn segment_bitmap(&self, object: &ObjectRef) -> Result<Arc<RoaringBitmap>> {
        self.cached(&object.path, async {
            let payload = self.bucket().read_framed(FrameKind::Bitmap, object).await?;
            Ok((decode(&object.path, &payload)?, payload.len() * 2))
        })
        .await
    }

    async fn write_segments(
        &self,
        snapshot: &Arc<Snapshot>,
        segments: &[Arc<NewSegmentVersion>],
    ) -> Result<Vec<SegmentVersion>> {
        stream::iter(segments.to_vec())
            .map(|segment| {
                let (store, snapshot) = (self.clone(), Arc::clone(snapshot));
                async move { store.write_segment(&snapshot, &segment).await }
            })
            .buffered(SEGMENTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Writes the bitmaps of one segment, compared with its newest version.
    async fn write_segment(
        &self,
        snapshot: &Snapshot,
        segment: &NewSegmentVersion,
    ) -> Result<SegmentVersion> {
        let versions = snapshot.segment_versions.get(&segment.segment_id);
        let previous = versions.and_then(|versions| versions.last());
        let before = match previous {
            Some(version) => self.segment_bitmap(&version.members).await?,
            None => Arc::default(),
        };
        let entered = &segment.members - &*before;
        let left = &*before - &segment.members;
        let (customers_entered, customers_left) = (entered.len(), left.len());
        // Nobody sees one of them before the log names all: they are made durable side by side.
        let (members, entered, left) = future::try_join3(
            self.write_bitmap(segment.segment_id, segment.members.clone()),
            self.write_bitmap(segment.segment_id, entered),
            self.write_bitmap(segment.segment_id, left),
        )
        .await?;
        Ok(SegmentVersion {
            segment_id: segment.segment_id,
            number: previous.map_or(1, |version| version.number + 1),
            customers: segment.members.len(),
            customers_entered,
            customers_left,
            members,
            entered,
            left,
            computed_at: segment.computed_at,
            refreshed_at_us: self.bucket().local_now().timestamp_micros(),
            computation: segment.computation.clone(),
        })
    }

    /// Writes a bitmap and keeps it: the next refresh begins with it.
    async fn write_bitmap(&self, segment_id: u32, mut bitmap: RoaringBitmap) -> Result<ObjectRef> {
        let path = layout::segment_bitmap(segment_id, self.bucket().new_uuid());
        bitmap.optimize();
        let bytes = encode(&bitmap)?;
        let object = self.bucket().put_framed(FrameKind::Bitmap, &path, &bytes).await?;
        let size = bytes.len() * 2;
        self.cached(&object.path, future::ready(Ok((bitmap, size)))).await?;
        Ok(object)
    }
}

/// Whether a segment is still defined as it was when it was computed.
fn is_current(catalog: &Catalog, segment: &NewSegmentVersion) -> bool {
    let mut definitions = catalog.segments.values();
    definitions.any(|definition| {
        definition.id == segment.segment_id && definition.defined_at_us == segment.defined_at_us
    })
}

fn encode(bitmap: &RoaringBitmap) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap
        .serialize_into(&mut bytes)
        .map_err(|error| Error::Internal(format!("a bitmap cannot be written: {error}")))?;
    Ok(bytes)
}

/// Reads a portable roaring bitmap. The number of containers that it declares must fit into its
/// bytes before anything is allocated for them.
pub(crate) fn decode(path: &str, payload: &[u8]) -> Result<RoaringBitmap> {
    const COOKIE_NO_RUNS: u32 = 12_346;
    const COOKIE_RUNS: u32 = 12_347;
    const CONTAINER_BYTES_MIN: usize = 4 + 2;
    let corrupt = |reason: String| Error::corrupt(path, reason);
    let word = |at: usize| {
        let bytes: Option<[u8; 4]> = payload.get(at..at + 4)?.try_into().ok();
        bytes.map(u32::from_le_bytes)
    };
    let cookie = word(0).ok_or_else(|| corrupt("bitmap is cut off".into()))?;
    let containers = match cookie & 0xFFFF {
        COOKIE_RUNS => Some((cookie >> 16) as usize + 1),
        _ if cookie == COOKIE_NO_RUNS => word(4).map(|count| count as usize),
        _ => None,
    };
    let containers = containers.ok_or_else(|| corrupt("not a roaring bitmap".into()))?;
    if containers > CONTAINERS_MAX || containers * CONTAINER_BYTES_MIN > payload.len() {
        let bytes = payload.len();
        return Err(corrupt(format!("bitmap declares {containers} containers in {bytes} bytes")));
    }
    let mut rest = payload;
    let bitmap = RoaringBitmap::deserialize_from(&mut rest)
        .map_err(|error| corrupt(format!("not a roaring bitmap: {error}")))?;
    if rest.is_empty() {
        Ok(bitmap)
    } else {
        Err(corrupt(format!("{} bytes follow the bitmap", rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<RoaringBitmap> {
        let mut samples = vec![
            RoaringBitmap::new(),
            [7].into_iter().collect(),
            (0..100_000).collect(),
            (0..300_000).step_by(3).collect(),
            [0, 1 << 16, 2 << 16, 3 << 16, u32::MAX].into_iter().collect(),
        ];
        for bitmap in &mut samples {
            bitmap.optimize();
        }
        samples
    }

    #[test]
    fn bitmaps_come_back_as_they_were() {
        for bitmap in samples() {
            assert_eq!(decode("p", &encode(&bitmap).unwrap()).unwrap(), bitmap);
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        for bitmap in samples() {
            let bytes = encode(&bitmap).unwrap();
            for cut in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
                assert!(decode("p", &bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn hostile_bytes_are_an_error_and_cost_no_memory() {
        let claims_4_billion_containers = [12_346_u32.to_le_bytes(), [0xFF; 4]].concat();
        let claims_65536_runs = [0x3B, 0x30, 0xFF, 0xFF].to_vec();
        let one_empty_run_container = {
            let mut bytes = vec![0x3B, 0x30, 0, 0, 1];
            bytes.extend([0, 0, 0, 0, 0, 0]);
            bytes
        };
        for bytes in [claims_4_billion_containers, claims_65536_runs, one_empty_run_container] {
            assert!(decode("p", &bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn no_flip_of_a_bit_panics() {
        for bitmap in samples() {
            let bytes = encode(&bitmap).unwrap();
            for bit in (0..bytes.len().min(4_096) * 8).step_by(3) {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let _ = decode("p", &flipped);
            }
        }
    }
}
