//! What the objects of the newest version say of each other.

use super::VerifyReport;
use super::history::History;
use crate::bucket::Bucket;
use crate::catalog::Catalog;
use crate::data_file::index_object::IndexObject;
use crate::error::Result;
use crate::frame::FrameKind;
use crate::log::action::{DataFile, ObjectRef, SegmentVersion};
use crate::segment;
use crate::snapshot::Snapshot;
use crate::store::Store;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Compares; objects that cannot be read were noted before and are passed over.
pub(super) async fn check(bucket: &Bucket, history: &History, report: &mut VerifyReport) {
    let Some(head) = &history.head else { return };
    for file in head.data_files.values() {
        check_identifiers(bucket, head, file, report).await;
    }
    check_catalog(bucket, head, report).await;
    check_identities(bucket, head, report).await;
    for versions in head.segment_versions.values() {
        check_changes(bucket, versions, report).await;
    }
}

/// Every identifier of a data file has a number in the dictionary.
async fn check_identifiers(
    bucket: &Bucket,
    head: &Snapshot,
    file: &DataFile,
    report: &mut VerifyReport,
) {
    let Ok(index) = IndexObject::read(bucket, file).await else {
        return;
    };
    let Ok(index) = index.groups(file.rows) else {
        return;
    };
    let (min, max) = (index.identifiers().iter().min(), index.identifiers().iter().max());
    if (min.copied(), max.copied()) != (file.identifier_min, file.identifier_max) {
        report.add(&file.index.path, "its identifiers are not those that the log says");
    }
    if max.is_some_and(|max| *max >= head.identifiers()) {
        report.add(&file.index.path, "it has identifiers that the dictionary has not");
    }
}

/// The identity map covers what it says, and is what the dictionary and the links make.
async fn check_identities(bucket: &Bucket, head: &Snapshot, report: &mut VerifyReport) {
    const PLACE: &str = "identity";
    let covered = head.identity_map.identifiers;
    if covered == 0 {
        return;
    }
    let store = Store::at(bucket.clone(), Arc::new(head.clone()));
    match store.identity_map(head).await {
        Ok(map) if map.len() != covered as usize => {
            let what = format!("the map covers {} identifiers, wanted {covered}", map.len());
            report.add(PLACE, what);
        }
        Ok(map) if map.customers().len() != u64::from(head.identity_map.customers) => {
            let (found, wanted) = (map.customers().len(), head.identity_map.customers);
            report.add(PLACE, format!("the map has {found} customers, wanted {wanted}"));
        }
        Ok(_) => {}
        Err(error) => report.add_error(PLACE, &error),
    }
    match store.verify_identities(head).await {
        Ok(changes) if changes.moved.is_empty() => {}
        Ok(changes) => {
            let moved = changes.moved.len();
            report.add(PLACE, format!("{moved} identifiers belong to other customers than said"));
        }
        Err(error) => report.add_error(PLACE, &error),
    }
}

/// Every segment with versions has a number that the catalog gave.
async fn check_catalog(bucket: &Bucket, head: &Snapshot, report: &mut VerifyReport) {
    let Some(object) = &head.catalog else {
        return report.add("log", "no catalog is named");
    };
    let Ok(payload) = bucket.read_framed(FrameKind::Catalog, object).await else {
        return;
    };
    let Ok(catalog) = serde_json::from_slice::<Catalog>(&payload) else {
        return;
    };
    for segment_id in head.segment_versions.keys() {
        if *segment_id >= catalog.next_segment_id {
            let what = format!("segment {segment_id} has versions, and no number was given to it");
            report.add(&object.path, what);
        }
    }
}

/// The members of a version are those of the version before, with who entered, without who left.
async fn check_changes(bucket: &Bucket, versions: &[SegmentVersion], report: &mut VerifyReport) {
    let mut before = Some(RoaringBitmap::new());
    for version in versions {
        let members = bitmap(bucket, &version.members).await.ok();
        let entered = bitmap(bucket, &version.entered).await.ok();
        let left = bitmap(bucket, &version.left).await.ok();
        if let (Some(before), Some(members), Some(entered), Some(left)) =
            (&before, &members, &entered, &left)
            && (*members != (before | entered) - left)
        {
            report
                .add(&version.members.path, "its members do not follow from who entered and left");
        }
        before = members;
    }
}

async fn bitmap(bucket: &Bucket, object: &ObjectRef) -> Result<RoaringBitmap> {
    let payload = bucket.read_framed(FrameKind::Bitmap, object).await?;
    segment::decode(&object.path, &payload)
}
