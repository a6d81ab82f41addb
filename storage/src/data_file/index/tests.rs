//! The index against the obvious way: a list of (group, identifier) per row.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Rows as a compacted file has them: customers ascend, identifiers of one alternate.
fn rows() -> impl Strategy<Value = Vec<(Option<u32>, Option<u32>)>> {
    let customer = (1_u32..5, prop::collection::vec(0_u32..4, 1..20));
    (prop::collection::vec(customer, 0..30), 0_usize..5).prop_map(|(customers, without)| {
        let mut rows = Vec::new();
        let mut number = 0;
        for (step, identifiers) in customers {
            number += step * 10;
            rows.extend(identifiers.iter().map(|i| (Some(number), Some(number + i))));
        }
        rows.extend(std::iter::repeat_n((None, None), without));
        rows
    })
}

fn index_of(rows: &[(Option<u32>, Option<u32>)]) -> FileIndex {
    let mut builder = FileIndexBuilder::default();
    for &(key, identifier) in rows {
        builder.push(key, identifier).unwrap();
    }
    builder.finish()
}

proptest! {
    // If this fails, a query for a customer reads the wrong rows.
    #[test]
    fn ranges_are_exactly_the_rows_of_the_wanted_customers(
        rows in rows(),
        wanted in prop::collection::btree_set(1_u32..150, 0..10),
    ) {
        let index = index_of(&rows);
        let wanted_customers: BTreeSet<u32> = wanted.iter().map(|c| c / 10 * 10).collect();
        let by_index: Vec<u32> = index
            .row_ranges(|identifier| wanted_customers.contains(&(identifier / 10 * 10)))
            .into_iter()
            .flatten()
            .collect();
        let by_hand: Vec<u32> = (0_u32..)
            .zip(&rows)
            .filter(|(_, (key, _))| key.is_some_and(|key| wanted_customers.contains(&key)))
            .map(|(row, _)| row)
            .collect();
        prop_assert_eq!(by_index, by_hand);
        prop_assert!(index.is_sorted_by(|identifier| identifier / 10 * 10));
    }

    #[test]
    fn an_index_comes_back_as_it_was(rows in rows()) {
        let index = index_of(&rows);
        let bytes = index.encode().unwrap();
        prop_assert_eq!(FileIndex::decode("p", &bytes, rows.len() as u64).unwrap(), index);
    }

    // If this fails, events of one customer are missing where few customers are asked for.
    #[test]
    fn a_few_identifiers_have_the_same_rows_as_many(
        rows in rows(),
        wanted in prop::collection::vec(0..60_u32, 0..9),
    ) {
        let index = index_of(&rows);
        let expected = index.row_ranges(|identifier| wanted.contains(&identifier));
        // From the second time on they are looked up in their order.
        for _ in 0..3 {
            prop_assert_eq!(&index.row_ranges_of(&wanted), &expected);
        }
    }

    // If this fails, a damaged or malicious file takes the process down.
    #[test]
    fn hostile_bytes_are_an_error_or_a_sound_index(
        rows in rows(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut plain = zstd::bulk::decompress(&index_of(&rows).encode().unwrap(), 1 << 20).unwrap();
        for (place, value) in flips {
            let place = place.index(plain.len());
            plain[place] = value;
        }
        let flipped = zstd::bulk::compress(&plain, 1).unwrap();
        for bytes in [flipped, noise.clone(), zstd::bulk::compress(&noise, 1).unwrap()] {
            if let Ok(index) = FileIndex::decode("p", &bytes, rows.len() as u64) {
                prop_assert_eq!(index.groups().map(|g| g.rows.len()).sum::<usize>(), rows.len());
                prop_assert_eq!(
                    FileIndex::decode("p", &index.encode().unwrap(), rows.len() as u64).unwrap(),
                    index
                );
            }
        }
    }
}

#[test]
fn a_small_object_cannot_ask_for_much_memory() {
    let mut plain = Vec::new();
    for number in [u64::from(u32::MAX), u64::from(u32::MAX), u64::from(u32::MAX)] {
        put(&mut plain, number);
    }
    plain.resize(64 << 20, 1);
    let bomb = zstd::bulk::compress(&plain, 1).unwrap();
    assert!(FileIndex::decode("p", &bomb, 1_000).is_err());
}

#[test]
fn a_merge_of_customers_breaks_the_order() {
    let index = index_of(&[(Some(1), Some(1)), (Some(2), Some(2)), (Some(3), Some(3))]);
    assert!(index.is_sorted_by(|identifier| identifier));
    assert!(!index.is_sorted_by(|identifier| if identifier == 3 { 1 } else { identifier }));
    assert!(!index.is_sorted_by(|identifier| if identifier == 2 { 1 } else { identifier }));
}

#[test]
fn many_alternations_within_a_customer_are_stored_once() {
    let rows: Vec<_> = (0..20_000_u32).map(|row| (Some(1), Some(1 + row % 3))).collect();
    let index = index_of(&rows);
    assert_eq!(index.identifiers(), [1, 2, 3]);
    assert_eq!(index.groups().len(), 1);
}

#[test]
fn an_identifier_may_open_two_groups_in_a_row() {
    // The last identifier of one customer is compared with the first one of the next.
    let index = index_of(&[(Some(1), Some(5)), (Some(2), Some(5))]);
    assert_eq!(
        index.groups().map(|group| group.identifiers.to_vec()).collect::<Vec<_>>(),
        [vec![5], vec![5]]
    );
}
