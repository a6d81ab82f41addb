//! Which files to merge: a pure function of the snapshot and of how the files are sorted now.
//!
//! 1. Each file gets the unit that suits the volume of the whole database, with some reluctance to
//!    change: twice too many or half too few rows per partition leave a unit as it is.
//! 2. Files are grouped by the partition that they will lie in. A file whose unit gets shorter, or
//!    changes between weeks and months, is first cut up alone: its own partition is its group.
//! 3. A group is settled when its files are of the right unit, sorted under today's identities,
//!    disjoint in customers, and not needlessly many.
//! 4. Of other groups, neighbours in ingest order are merged: all of them, or from the newest on
//!    back to the oldest that was never compacted, and further as long as the next older run is not
//!    much larger ([`CompactionDepth`]).

use super::CompactionDepth;
use crate::log::action::{DataFile, PartitionUnit, SortedBy};
use crate::partition::{DAY_US, Partition};
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// An older run joins a merge when it has at most so many times the rows of the newer ones.
const OLDER_ROWS_FACTOR: u64 = 4;

/// How a file is sorted under the identity map of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileOrder {
    /// By `(customer, ts)`, today.
    pub(crate) is_sorted: bool,
    /// Its smallest and largest customer today; `None` when no row has one.
    pub(crate) customers: Option<(u32, u32)>,
    /// It holds rows that belong to nobody.
    pub(crate) has_rows_of_nobody: bool,
}

/// Files to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Their paths in ingest order.
    pub(crate) inputs: Vec<String>,
    /// The unit of the partitions that they will lie in.
    pub(crate) unit: PartitionUnit,
    /// Their rows.
    pub(crate) rows: u64,
}

/// The jobs that a snapshot asks for. `orders` holds every data file.
pub(crate) fn plan(
    snapshot: &Snapshot,
    orders: &BTreeMap<String, FileOrder>,
    file_rows_target: u64,
    depth: CompactionDepth,
) -> Vec<Job> {
    let (rows, days) = volume(snapshot);
    let mut groups: BTreeMap<(Partition, PartitionUnit), Vec<&DataFile>> = BTreeMap::new();
    for file in snapshot.data_files.values() {
        let unit = suitable_unit(file.partition_unit, rows, days);
        let own = Partition { unit: file.partition_unit, start_us: file.partition_start_us };
        let is_contained = file.partition_unit == PartitionUnit::Day || file.partition_unit == unit;
        let place = match is_contained {
            true => Partition::containing(unit, file.partition_start_us),
            false => own,
        };
        groups.entry((place, unit)).or_default().push(file);
    }
    let mut jobs = Vec::new();
    for ((_, unit), mut files) in groups {
        files.sort_by_key(|file| (file.ingested_from, file.object.path.as_str()));
        let is_of_unit = files.iter().all(|file| file.partition_unit == unit);
        if is_of_unit && is_settled(&files, orders, file_rows_target) {
            continue;
        }
        let chosen = match depth {
            CompactionDepth::Full => &files[..],
            CompactionDepth::Tiered if is_of_unit => &files[newest_of_like_size(&files)..],
            CompactionDepth::Tiered => &files[..],
        };
        let is_of_unit = chosen.iter().all(|file| file.partition_unit == unit);
        if is_of_unit && is_settled(chosen, orders, file_rows_target) {
            continue;
        }
        jobs.push(Job {
            inputs: chosen.iter().map(|file| file.object.path.clone()).collect(),
            unit,
            rows: chosen.iter().map(|file| file.rows).sum(),
        });
    }
    jobs
}

/// All rows, and the days of the partitions that hold them.
fn volume(snapshot: &Snapshot) -> (u64, u64) {
    let mut spans: BTreeSet<(i64, i64)> = BTreeSet::new();
    for file in snapshot.data_files.values() {
        let first = file.ts_min_us.div_euclid(DAY_US);
        spans.insert((first, file.ts_max_us.div_euclid(DAY_US)));
    }
    let (mut days, mut covered_to) = (0_u64, i64::MIN);
    for (first, last) in spans {
        let first = first.max(covered_to.saturating_add(1));
        if last >= first {
            days += first.abs_diff(last) + 1;
            covered_to = last;
        }
    }
    (snapshot.rows(), days)
}

fn suitable_unit(today: PartitionUnit, rows: u64, days: u64) -> PartitionUnit {
    let shortest_that_is_surely_full = PartitionUnit::for_volume(rows, days.saturating_mul(2));
    let longest_that_is_surely_needed = PartitionUnit::for_volume(rows.saturating_mul(2), days);
    // Units are ordered from short to long.
    if today > shortest_that_is_surely_full {
        shortest_that_is_surely_full
    } else {
        today.max(longest_that_is_surely_needed)
    }
}

fn is_settled(
    files: &[&DataFile],
    orders: &BTreeMap<String, FileOrder>,
    file_rows_target: u64,
) -> bool {
    let orders: Vec<&FileOrder> =
        files.iter().filter_map(|file| orders.get(&file.object.path)).collect();
    let is_sorted = orders.len() == files.len() && orders.iter().all(|order| order.is_sorted);
    let by_customer = |file: &&DataFile| matches!(file.sorted_by, SortedBy::Customer { .. });
    if files.len() <= 1 {
        return is_sorted && files.iter().all(by_customer);
    }
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let files_wanted = rows.div_ceil(file_rows_target.max(1));
    let few = files.len() as u64 <= files_wanted * 2 && rows > file_rows_target;
    is_sorted && few && are_disjoint(&orders)
}

/// No customer in two files, and the rows of nobody in at most one.
fn are_disjoint(orders: &[&FileOrder]) -> bool {
    let mut ranges: Vec<RangeInclusive<u32>> =
        orders.iter().filter_map(|order| order.customers).map(|(min, max)| min..=max).collect();
    ranges.sort_by_key(|range| *range.start());
    let with_nobody = orders.iter().filter(|order| order.has_rows_of_nobody).count();
    with_nobody <= 1 && ranges.windows(2).all(|pair| pair[0].end() < pair[1].start())
}

/// Where the newest files begin that are worth merging. Files of one earlier compaction are one
/// run: they only make sense together. What ingest wrote is rewritten once in any case, so a small
/// batch behind a large one does not keep the large one from being merged.
fn newest_of_like_size(files: &[&DataFile]) -> usize {
    let is_fresh = |file: &&DataFile| file.sorted_by == SortedBy::Identifier;
    let oldest_fresh = files.iter().position(is_fresh).unwrap_or(files.len());
    let mut start = files.len();
    let mut rows_newer = 0;
    for run in files.chunk_by(|one, other| ingested(one) == ingested(other)).rev() {
        let rows: u64 = run.iter().map(|file| file.rows).sum();
        let is_large = rows_newer > 0 && rows > rows_newer * OLDER_ROWS_FACTOR;
        if is_large && start <= oldest_fresh {
            break;
        }
        rows_newer += rows;
        start -= run.len();
    }
    start
}

fn ingested(file: &DataFile) -> (u64, u64) {
    (file.ingested_from, file.ingested_to)
}

#[cfg(test)]
mod tests;
