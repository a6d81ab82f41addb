//! Tables that are computed from a snapshot: `customers`, `identifiers` and `system.*`.

mod cache;
pub(crate) mod columns;
mod commits;
mod customers;
mod data_files;
mod identifiers;
mod identity_namespaces;
mod latest_traits;
mod links;
mod rejected_events;
mod segment_versions;
mod segments;
mod settings;
mod snapshot_table;

pub(crate) use customers::CUSTOMERS_SQL;
pub(crate) use identifiers::IdentifierRows;
pub(crate) use segments::SegmentRows;
pub(crate) use snapshot_table::{SnapshotRows, SnapshotTable};

use crate::session::Pinned;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// The names of the tables in the schema `system`.
pub(crate) const SYSTEM: [&str; 10] = [
    "cache",
    "commits",
    "data_files",
    "identifiers",
    "identity_namespaces",
    "links",
    "rejected_events",
    "segment_versions",
    "segments",
    "settings",
];

/// A table of the schema `system`.
pub(crate) fn system(name: &str, pinned: &Arc<Pinned>) -> Option<Arc<dyn TableProvider>> {
    let rows: Arc<dyn SnapshotRows> = match name {
        "cache" => Arc::new(cache::CacheRows),
        "commits" => Arc::new(commits::Commits),
        "data_files" => Arc::new(data_files::DataFiles),
        "identifiers" => Arc::new(IdentifierRows::all()),
        "identity_namespaces" => Arc::new(identity_namespaces::IdentityNamespaces),
        "links" => Arc::new(links::Links),
        "rejected_events" => Arc::new(rejected_events::RejectedEvents),
        "segment_versions" => Arc::new(segment_versions::SegmentVersions),
        "segments" => Arc::new(SegmentRows),
        "settings" => Arc::new(settings::SettingRows),
        _ => return None,
    };
    Some(Arc::new(SnapshotTable::new(pinned.clone(), rows)))
}

/// The table `identifiers`.
pub(crate) fn identifiers(pinned: &Arc<Pinned>) -> Arc<dyn TableProvider> {
    Arc::new(SnapshotTable::new(pinned.clone(), Arc::new(IdentifierRows::all())))
}

/// Registers the aggregate that `customers` is made with.
pub(crate) fn register(context: &SessionContext) {
    context.register_udaf(AggregateUDF::from(latest_traits::LatestTraits::default()));
}
