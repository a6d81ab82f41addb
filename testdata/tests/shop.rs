//! The shop is the same for ever, believable, and as untidy as it says.

use habitue_testdata::{BadReason, Delivery, Row, Shop, ShopOptions, Tally, Truth, batches, lines};
use std::collections::{BTreeMap, BTreeSet};

fn small() -> ShopOptions {
    ShopOptions { customers: 400, ..ShopOptions::default() }
}

/// FNV-1a, written here so that no dependency can change it.
fn checksum(options: ShopOptions) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for line in lines(options) {
        for byte in line.bytes().chain([b'\n']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

// If this fails, every number that docs and tests state about the shop is wrong.
#[test]
fn same_options_give_the_same_bytes_for_ever() {
    let tidy = ShopOptions { delivery: Delivery::Tidy, ..small() };
    let found = [checksum(small()), checksum(ShopOptions { seed: 2, ..small() }), checksum(tidy)];
    assert_eq!(found.map(|sum| format!("{sum:016x}")), GOLDEN);
}

const GOLDEN: [&str; 3] = ["4695b1fb66de38f5", "f7dd357cfc998442", "5d5b39db93b67644"];

// If this fails, tests of late events test nothing.
#[test]
fn rows_come_in_the_order_of_arrival_and_never_before_they_happen() {
    let mut last = 0;
    for event in Shop::new(small()).filter_map(Row::event) {
        assert!(event.received_at_us >= last, "{event:?}");
        assert!(event.received_at_us > event.ts_us, "{event:?}");
        last = event.received_at_us;
    }
}

#[test]
fn untidy_delivery_has_late_events_duplicates_and_every_kind_of_broken_row() {
    let tally = Tally::of(small());
    assert!(tally.events > 14_000, "{tally:?}");
    assert!(tally.duplicates > 50, "{tally:?}");
    assert!(tally.late > 20, "{tally:?}");
    assert_eq!(tally.bad.len(), 4, "{tally:?}");
}

#[test]
fn tidy_delivery_has_the_same_kinds_of_events_once_each() {
    let tally = Tally::of(ShopOptions { delivery: Delivery::Tidy, ..small() });
    assert!(tally.events > 14_000, "{tally:?}");
    assert_eq!((tally.duplicates, tally.late, tally.rejected()), (0, 0, 0));
}

// If this fails, ingest's counts cannot be compared with the tally.
#[test]
fn event_ids_are_unique_but_for_the_stated_duplicates() {
    let mut seen = BTreeSet::new();
    for row in Shop::new(small()) {
        match row {
            Row::Event(event) => assert!(seen.insert(event.event_id.clone()), "{event:?}"),
            Row::Duplicate(event) => assert!(event.event_id.starts_with("e-")),
            Row::Bad(_) => {}
        }
    }
}

#[test]
fn good_lines_are_json_objects_and_broken_ones_are_what_they_say() {
    for row in Shop::new(small()) {
        let Row::Bad(bad) = row else { continue };
        let parsed = serde_json::from_str::<serde_json::Value>(&bad.line);
        match (bad.reason, parsed) {
            (BadReason::BrokenJson, parsed) => assert!(parsed.is_err(), "{}", bad.line),
            (BadReason::NoTimestamp, Ok(row)) => assert!(row.get("ts").is_none()),
            (BadReason::ImpossibleYear, Ok(row)) => {
                assert!(row["ts"].as_str().is_some_and(|ts| ts.starts_with("20250-")), "{row}");
            }
            (BadReason::WrongType, Ok(row)) => assert!(row["amount"].is_string(), "{row}"),
            (reason, Err(error)) => panic!("{reason:?}: {error}"),
        }
    }
    let tidy = ShopOptions { delivery: Delivery::Tidy, ..small() };
    for line in lines(tidy) {
        let row = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        assert!(row["properties"].is_null() || row["properties"].is_object(), "{line}");
    }
}

#[test]
fn batches_hold_every_understandable_row() {
    let tally = Tally::of(small());
    let rows: usize = batches(small(), 1_000).map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows as u64, tally.events + tally.duplicates);
}

// If this fails, tests of stitching know a wrong truth.
#[test]
fn the_truth_knows_people_with_several_devices_and_shared_devices() {
    let truth = Truth::of(small());
    let mut identifiers: BTreeMap<u32, u32> = BTreeMap::new();
    for people in truth.people.values().filter(|people| people.len() == 1) {
        *identifiers.entry(*people.first().unwrap()).or_default() += 1;
    }
    assert!(identifiers.values().filter(|count| **count > 3).count() > 50);
    let shared: Vec<_> = truth.shared().collect();
    assert!(shared.iter().all(|(namespace, _)| namespace == "anonymous_id"), "{shared:?}");
    // Three terminals, and tablets of households.
    assert!(shared.len() > 8, "{shared:?}");
    let crowds = truth.people.values().filter(|people| people.len() > 10).count();
    assert_eq!(crowds, 3);
}

#[test]
fn refunds_never_exceed_their_purchase() {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    let mut refunds = 0;
    for row in Shop::new(small()) {
        let Row::Event(event) = row else { continue };
        if let (Some(order), Some(amount)) = (event.order_id, event.amount_cents) {
            refunds += u32::from(amount < 0);
            *balance.entry(order).or_default() += amount;
        }
    }
    assert!(refunds > 10);
    assert!(balance.values().all(|cents| *cents >= 0));
}

#[test]
fn nothing_comes_from_a_shop_without_people_or_days() {
    assert_eq!(Shop::new(ShopOptions { customers: 0, ..small() }).count(), 0);
    assert_eq!(Shop::new(ShopOptions { days: 0, ..small() }).count(), 0);
}
