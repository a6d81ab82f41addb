//! The only place that makes object paths.
//!
//! ```text
//! log/<version, 20 digits>.json                 one commit
//! checkpoints/<version, 20 digits>.json.zst     the state at a version, only to save time
//! catalog/<uuid>.json                           namespaces, segment definitions, settings
//! events/<unit>-<first day>/<uuid>.parquet      a data file
//! events/<unit>-<first day>/<uuid>.index        the index of the data file of the same name
//! identity/dictionary/<uuid>.parquet            a run of the identifier dictionary
//! identity/links/<uuid>.parquet                 links between identifiers
//! identity/map/<uuid>.map                       a base or a delta of the identity map
//! segments/<segment_id>/<uuid>.bitmap           members of a segment, who entered, who left
//! rejected/<uuid>.parquet                       rows that could not be understood
//! probe/<uuid>                                  what checks the store and reads its clock
//! tmp/<uuid>                                    an unfinished write to a local directory
//! ```
//!
//! UUIDs are of version 7, so that names sort by the time they were made. No path holds anything
//! that a person typed.

use crate::error::{Error, Result};
use crate::log::action::PartitionUnit;
use chrono::DateTime;
use uuid::Uuid;

/// Folder of the commit log.
pub const LOG: &str = "log";
/// Folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// Folder of unfinished writes in a local directory.
pub const TMP: &str = "tmp";

/// Folders whose objects garbage collection may delete when nothing names them. Whatever else lies
/// in the bucket belongs to somebody else. `checkpoints` and the log have rules of their own.
pub const COLLECTED: [&str; 7] =
    ["catalog", "events", "identity", "probe", "rejected", "segments", TMP];

/// The entry of the log that makes a version.
///
/// ```
/// let path = habitue_storage::layout::log_entry(7);
/// assert_eq!(path, "log/00000000000000000007.json");
/// ```
pub fn log_entry(version: u64) -> String {
    format!("{LOG}/{version:020}.json")
}

/// The version that a path of the log makes; `None` when it is not a path of the log.
pub fn version_of_log_entry(path: &str) -> Option<u64> {
    version_in(path, LOG, ".json")
}

/// The checkpoint of a version.
pub fn checkpoint(version: u64) -> String {
    format!("{CHECKPOINTS}/{version:020}.json.zst")
}

/// The version of a path of a checkpoint; `None` when it is not one.
pub fn version_of_checkpoint(path: &str) -> Option<u64> {
    version_in(path, CHECKPOINTS, ".json.zst")
}

/// A new catalog.
pub fn catalog(name: Uuid) -> String {
    format!("catalog/{name}.json")
}

/// The folder of a time partition: its unit and its first day, `events/day-2024-01-31`.
///
/// # Errors
/// [`Error::Invalid`] when the time lies outside the calendar.
pub fn partition_folder(unit: PartitionUnit, start_us: i64) -> Result<String> {
    let start = DateTime::from_timestamp_micros(start_us)
        .ok_or_else(|| Error::invalid("partition start", format!("{start_us} µs is no date")))?;
    let unit = match unit {
        PartitionUnit::Day => "day",
        PartitionUnit::Week => "week",
        PartitionUnit::Month => "month",
    };
    Ok(format!("events/{unit}-{}", start.format("%Y-%m-%d")))
}

/// A new data file of a time partition.
///
/// ```
/// use habitue_storage::{layout, log::action::PartitionUnit};
/// let path = layout::data_file(PartitionUnit::Day, 0, uuid::Uuid::nil())?;
/// assert_eq!(path, "events/day-1970-01-01/00000000-0000-0000-0000-000000000000.parquet");
/// # Ok::<(), habitue_storage::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] when the time lies outside the calendar.
pub fn data_file(unit: PartitionUnit, start_us: i64, name: Uuid) -> Result<String> {
    Ok(format!("{}/{name}.parquet", partition_folder(unit, start_us)?))
}

/// The index of a data file: the same name with another ending.
pub fn index_of(data_file: &str) -> String {
    let stem = data_file.strip_suffix(".parquet").unwrap_or(data_file);
    format!("{stem}.index")
}

/// A new run of the dictionary.
pub fn dictionary_run(name: Uuid) -> String {
    format!("identity/dictionary/{name}.parquet")
}

/// A new file of links.
pub fn links(name: Uuid) -> String {
    format!("identity/links/{name}.parquet")
}

/// A new base or delta of the identity map.
pub fn identity_map(name: Uuid) -> String {
    format!("identity/map/{name}.map")
}

/// A new bitmap of a segment.
pub fn segment_bitmap(segment_id: u32, name: Uuid) -> String {
    format!("segments/{segment_id}/{name}.bitmap")
}

/// A new file of rejected rows.
pub fn rejected(name: Uuid) -> String {
    format!("rejected/{name}.parquet")
}

/// An object that exists for a moment, to see how the store behaves.
pub fn probe(name: Uuid) -> String {
    format!("probe/{name}")
}

/// The version in the name of an object of this folder with this ending.
fn version_in(path: &str, folder: &str, ending: &str) -> Option<u64> {
    let digits = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?;
    let is_version = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_version { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_survive_the_way_through_a_path() {
        for version in [0, 1, 64, 9_999_999_999, u64::MAX] {
            assert_eq!(version_of_log_entry(&log_entry(version)), Some(version));
            assert_eq!(version_of_checkpoint(&checkpoint(version)), Some(version));
        }
    }

    #[test]
    fn paths_of_others_are_no_versions() {
        for path in ["log/7.json", "log/0000000000000000000x.json", "log", "log/", "x/y.json"] {
            assert_eq!(version_of_log_entry(path), None, "{path}");
        }
    }

    #[test]
    fn a_time_outside_the_calendar_is_refused() {
        assert!(partition_folder(PartitionUnit::Day, i64::MAX).is_err());
    }
}
