//! What one commit does to the database, as it stands in the log.
//!
//! The log holds no personal data: numbers, paths, statistics and event names, never a value or an
//! extreme of a column that people fill. So erasing a person never has to rewrite the log.

use crate::log::computation::Computation;
use serde::{Deserialize, Serialize};

/// A reference to an immutable object: where it is and what it must weigh and sum to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Path below the database's root.
    pub path: String,
    /// Size of the whole object.
    pub bytes: u64,
    /// CRC-32 of the whole object.
    pub crc32: u32,
}

/// The length of a time partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionUnit {
    /// A UTC calendar day.
    Day,
    /// Seven days from a Monday.
    Week,
    /// A UTC calendar month.
    Month,
}

/// How the rows of a data file are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortedBy {
    /// `(identifier_id, ts, ingest order)`: true for ever. Files as ingest writes them.
    Identifier,
    /// `(customer, ts, ingest order)` under the identity map of this version. Compacted files.
    Customer {
        /// The version whose identity map gave the customers.
        identity_version: u64,
    },
}

/// A Parquet file of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The Parquet file.
    pub object: ObjectRef,
    /// Its index: identifiers, and where each of them or each customer begins.
    pub index: ObjectRef,
    /// Rows in it; never 0.
    pub rows: u64,
    /// Smallest `ts`, µs since the epoch.
    pub ts_min_us: i64,
    /// Largest `ts`, µs since the epoch; inclusive.
    pub ts_max_us: i64,
    /// The unit of its time partition.
    pub partition_unit: PartitionUnit,
    /// The first instant of its time partition, µs since the epoch.
    pub partition_start_us: i64,
    /// The distinct event names, sorted; `None` when there are more than
    /// [`EVENT_NAMES_MAX`].
    pub event_names: Option<Vec<String>>,
    /// Smallest `identifier_id` in it, `None` when no row has one.
    pub identifier_min: Option<u32>,
    /// Largest `identifier_id` in it.
    pub identifier_max: Option<u32>,
    /// How its rows are sorted.
    pub sorted_by: SortedBy,
    /// The version of the commit that ingested its oldest rows: ties in time keep this order.
    /// A draft says [`THIS_COMMIT`] for rows that it brings in itself.
    pub ingested_from: u64,
    /// The version of the commit that ingested its newest rows, or [`THIS_COMMIT`] in a draft.
    pub ingested_to: u64,
}

/// In a draft: the version that the commit will get, which nobody knows before it is made.
pub const THIS_COMMIT: u64 = 0;

/// More distinct event names than this in one file are not listed in the log.
pub const EVENT_NAMES_MAX: usize = 256;

/// A run of the identifier dictionary: identifiers with consecutive numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DictionaryRun {
    /// The Parquet file.
    pub object: ObjectRef,
    /// The first identifier_id in it.
    pub first_id: u32,
    /// How many identifiers it holds.
    pub count: u32,
}

/// A Parquet file of links between identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFile {
    /// The Parquet file.
    pub object: ObjectRef,
    /// How many links it holds.
    pub links: u64,
}

/// A Parquet file of rows that could not be understood, with their reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedFile {
    /// The Parquet file.
    pub object: ObjectRef,
    /// How many rows it holds.
    pub rows: u64,
}

/// The identity map after a commit: a base and the changes since, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityMapRef {
    /// The dense array, absent while there are only deltas.
    pub base: Option<ObjectRef>,
    /// Changes, each to be applied over what stands before it.
    pub deltas: Vec<ObjectRef>,
    /// How many identifiers the map covers.
    pub identifiers: u32,
    /// How many customers there are.
    pub customers: u32,
}

/// One version of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentVersion {
    /// Which segment, by its number in the catalog.
    pub segment_id: u32,
    /// 1, 2, 3… within the segment.
    pub number: u64,
    /// The members, a portable roaring bitmap of customer_ids.
    pub members: ObjectRef,
    /// Who is a member and was not in the version before.
    pub entered: ObjectRef,
    /// Who was a member in the version before and is not now.
    pub left: ObjectRef,
    /// How many members.
    pub customers: u64,
    /// How many entered.
    pub customers_entered: u64,
    /// How many left.
    pub customers_left: u64,
    /// The database version whose events and identities it was computed from.
    pub computed_at: u64,
    /// When it was computed, µs since the epoch.
    pub refreshed_at_us: i64,
    /// How it was computed; absent in versions of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computation: Option<Computation>,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A data file belongs to the database from here on.
    AddDataFile(DataFile),
    /// A data file does not belong any more; its object stays until garbage collection.
    RemoveDataFile {
        /// The path of its Parquet file.
        path: String,
    },
    /// New identifiers. `first_id` must be the number of identifiers so far.
    AddDictionaryRun(DictionaryRun),
    /// All runs that these ids span give way to one (compaction, erasure of values).
    ReplaceDictionaryRuns {
        /// The paths that go.
        removed: Vec<String>,
        /// The runs that come; together they cover the same ids.
        added: Vec<DictionaryRun>,
    },
    /// New links.
    AddLinks(LinkFile),
    /// Link files give way to others with the same live links.
    ReplaceLinks {
        /// The paths that go.
        removed: Vec<String>,
        /// The files that come.
        added: Vec<LinkFile>,
    },
    /// The identity map from here on.
    SetIdentityMap(IdentityMapRef),
    /// Rejected rows of an ingest.
    AddRejected(RejectedFile),
    /// The catalog from here on.
    SetCatalog(ObjectRef),
    /// A new version of a segment.
    AddSegmentVersion(SegmentVersion),
    /// All versions of a segment go.
    DropSegment {
        /// Which segment.
        segment_id: u32,
    },
    /// Versions below this one can no longer be read; only then may their files be deleted.
    ExpireVersions {
        /// The oldest version that stays readable.
        oldest_readable: u64,
        /// Objects that no readable version names and that are older than this may be deleted from
        /// here on, µs since the epoch by the store's clock. A commit that was drafted below this
        /// one and stands above it must not name such an object for the first time.
        objects_before_us: i64,
    },
}

impl Action {
    /// The objects that it brings in.
    pub fn objects(&self) -> Vec<&ObjectRef> {
        match self {
            Self::AddDataFile(file) => file.objects().to_vec(),
            Self::AddDictionaryRun(run) => vec![&run.object],
            Self::ReplaceDictionaryRuns { added, .. } => {
                added.iter().map(|run| &run.object).collect()
            }
            Self::AddLinks(file) => vec![&file.object],
            Self::ReplaceLinks { added, .. } => added.iter().map(|file| &file.object).collect(),
            Self::SetIdentityMap(map) => map.objects().collect(),
            Self::AddRejected(file) => vec![&file.object],
            Self::SetCatalog(object) => vec![object],
            Self::AddSegmentVersion(segment) => segment.objects().to_vec(),
            Self::RemoveDataFile { .. }
            | Self::DropSegment { .. }
            | Self::ExpireVersions { .. } => Vec::new(),
        }
    }
}

impl DataFile {
    /// The Parquet file and its index.
    pub fn objects(&self) -> [&ObjectRef; 2] {
        [&self.object, &self.index]
    }
}

impl IdentityMapRef {
    /// The base and the deltas, in the order in which they are applied.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.base.iter().chain(&self.deltas)
    }
}

impl SegmentVersion {
    /// Its three bitmaps.
    pub fn objects(&self) -> [&ObjectRef; 3] {
        [&self.members, &self.entered, &self.left]
    }
}

/// What kind of work a commit was, for people who read `system.commits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The database was made.
    Create,
    /// Events came in.
    Ingest,
    /// Data files were merged.
    Compact,
    /// Dictionary runs, link files or identity maps were merged.
    CompactIdentities,
    /// People linked or separated identifiers, or all customers were computed again.
    ChangeIdentities,
    /// Segments were refreshed.
    RefreshSegments,
    /// A segment, namespace or setting changed.
    ChangeCatalog,
    /// Old versions became unreadable.
    ExpireVersions,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The format of the log; 1.
    pub format: u32,
    /// The version that this entry makes; the number in its file name.
    pub version: u64,
    /// The UUID of the attempt: how a writer recognises its own write.
    pub attempt: String,
    /// When the writer made it, µs since the epoch; never before the entry below.
    pub committed_at_us: i64,
    /// What kind of work it was.
    pub operation: Operation,
    /// Events that this commit added, for `system.commits`.
    pub events_added: u64,
    /// What it does, in order.
    pub actions: Vec<Action>,
}
