//! Small snapshots, and what the plan makes of them.

use super::*;
use crate::log::action::ObjectRef;

const JANUARY: i64 = 1_735_689_600_000_000; // 2025-01-01

#[derive(Default)]
struct Given {
    snapshot: Snapshot,
    orders: BTreeMap<String, FileOrder>,
}

impl Given {
    fn file(mut self, unit: PartitionUnit, day: i64, rows: u64, version: u64) -> Self {
        let number = self.snapshot.data_files.len();
        let object =
            |ending: &str| ObjectRef { path: format!("{number:03}.{ending}"), bytes: 1, crc32: 0 };
        let ts = JANUARY + day * DAY_US;
        let file = DataFile {
            object: object("parquet"),
            index: object("index"),
            rows,
            ts_min_us: ts,
            ts_max_us: ts,
            partition_unit: unit,
            partition_start_us: Partition::containing(unit, ts).start_us,
            event_names: None,
            identifier_min: Some(0),
            identifier_max: Some(9),
            sorted_by: SortedBy::Customer { identity_version: version },
            ingested_from: version,
            ingested_to: version,
        };
        let order =
            FileOrder { is_sorted: true, customers: Some((0, 9)), has_rows_of_nobody: false };
        self.orders.insert(file.object.path.clone(), order);
        self.snapshot.data_files.insert(file.object.path.clone(), file);
        self
    }

    /// The last file is as ingest wrote it.
    fn fresh(mut self) -> Self {
        if let Some(mut last) = self.snapshot.data_files.last_entry() {
            last.get_mut().sorted_by = SortedBy::Identifier;
        }
        self
    }

    fn order(mut self, edit: impl FnOnce(&mut FileOrder)) -> Self {
        if let Some(mut last) = self.orders.last_entry() {
            edit(last.get_mut());
        }
        self
    }

    fn plan(&self, depth: CompactionDepth) -> Vec<(Vec<&str>, PartitionUnit)> {
        let jobs = plan(&self.snapshot, &self.orders, 1_000, depth);
        let paths: Vec<_> = self.snapshot.data_files.keys().collect();
        jobs.into_iter()
            .map(|job| {
                let find = |path: &String| paths.iter().find(|other| **other == path);
                let inputs = job.inputs.iter().filter_map(find).map(|p| &p[..3]).collect();
                (inputs, job.unit)
            })
            .collect()
    }
}

use CompactionDepth::{Full, Tiered};
use PartitionUnit::{Day, Month};

#[test]
fn a_sorted_file_alone_is_left_in_peace() {
    let given = Given::default().file(Month, 0, 100, 2).file(Month, 40, 100, 2);
    assert!(given.plan(Full).is_empty());
    assert!(given.plan(Tiered).is_empty());
}

#[test]
fn a_file_whose_customers_merged_is_sorted_again() {
    let given = Given::default().file(Month, 0, 100, 2).order(|order| order.is_sorted = false);
    assert_eq!(given.plan(Tiered), [(vec!["000"], Month)]);
}

#[test]
fn partitions_are_merged_apart_and_in_ingest_order() {
    let given = Given::default()
        .file(Month, 0, 100, 9)
        .file(Month, 1, 100, 3)
        .file(Month, 40, 100, 2)
        .file(Month, 41, 100, 3);
    assert_eq!(given.plan(Full), [(vec!["001", "000"], Month), (vec!["002", "003"], Month)]);
}

// If this fails, every small batch rewrites the whole month.
#[test]
fn a_small_new_file_does_not_rewrite_a_large_old_one() {
    let given =
        Given::default().file(Month, 0, 100_000, 2).file(Month, 1, 10, 3).file(Month, 2, 10, 4);
    assert_eq!(given.plan(Tiered), [(vec!["001", "002"], Month)]);
    assert_eq!(given.plan(Full), [(vec!["000", "001", "002"], Month)]);
}

// If this fails, the tail of an ingest that reaches into the next month keeps that month unsorted.
#[test]
fn a_small_batch_behind_large_ones_does_not_keep_them_from_being_merged() {
    let ingested =
        Given::default().file(Month, 0, 100_000, 2).fresh().file(Month, 1, 10, 3).fresh();
    assert_eq!(ingested.plan(Tiered), [(vec!["000", "001"], Month)]);
    let behind_sorted = Given::default()
        .file(Month, 0, 450_000, 2)
        .file(Month, 0, 100_000, 3)
        .fresh()
        .file(Month, 1, 10, 4)
        .fresh();
    assert_eq!(behind_sorted.plan(Tiered), [(vec!["001", "002"], Month)]);
}

#[test]
fn files_of_one_compaction_are_disjoint_and_stay() {
    let given = Given::default()
        .file(Month, 0, 900, 2)
        .order(|order| order.customers = Some((0, 4)))
        .file(Month, 0, 900, 2)
        .order(|order| order.customers = Some((5, 9)));
    assert!(given.plan(Full).is_empty());
    let overlapping = given.order(|order| order.customers = Some((4, 9)));
    assert_eq!(overlapping.plan(Full), [(vec!["000", "001"], Month)]);
}

#[test]
fn volume_makes_partitions_shorter_and_longer() {
    let many = Given::default().file(Month, 0, 30_000_000, 2);
    assert_eq!(many.plan(Tiered), [(vec!["000"], Day)]);
    let few = Given::default().file(Day, 0, 10, 2).file(Day, 1, 10, 2).file(Day, 40, 10, 2);
    assert_eq!(few.plan(Tiered), [(vec!["000", "001"], Month), (vec!["002"], Month)]);
}

#[test]
fn a_plan_that_was_done_asks_for_nothing_more() {
    let mut given = Given::default();
    for day in 0..28 {
        given = given.file(Day, day, 2_100_000, 2);
    }
    assert!(given.plan(Full).is_empty());
}
