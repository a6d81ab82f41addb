//! Tests of runs and of the partitions of their customers.

use super::*;
use crate::walk::partitions::Cursor;
use habitue_storage::data_file::FileIndexBuilder;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn file(rows: &[(Option<u32>, Option<u32>)]) -> IndexedFile {
    let mut builder = FileIndexBuilder::default();
    for &(key, identifier) in rows {
        builder.push(key, identifier).unwrap();
    }
    let identifiers = rows.iter().filter_map(|&(_, identifier)| identifier).collect();
    IndexedFile { index: Arc::new(builder.finish()), identifiers: Some(identifiers) }
}

/// A file sorted by identifier; 0 is none, so that all numbers are one less.
fn sorted(mut rows: Vec<u32>) -> IndexedFile {
    rows.sort_unstable_by_key(|&row| row.wrapping_sub(1));
    let rows = rows.into_iter().map(|row| row.checked_sub(1));
    file(&rows.map(|identifier| (identifier, identifier)).collect::<Vec<_>>())
}

fn run(file: u32, start: u32, rows: u32) -> Run {
    Run { file, start, rows }
}

fn of(runs: &CustomerRuns, owner: Owner) -> Vec<Run> {
    runs.of(owner).collect()
}

/// The customers that a partition visits.
fn visited(partitions: &Partitions, partition: usize) -> Vec<u32> {
    let mut cursor = Cursor::default();
    std::iter::from_fn(|| partitions.next(partition, &mut cursor)).collect()
}

#[test]
fn merged_customers_have_one_more_run_and_split_groups_are_taken_apart() {
    let first = file(&[(Some(0), Some(0)), (Some(0), Some(2)), (Some(0), Some(0)), (None, None)]);
    let second = file(&[(Some(1), Some(1)), (Some(3), Some(3))]);
    let map = IdentityMap::new(vec![0, 1, 2, 1]).unwrap();
    let runs = CustomerRuns::of_files(&[first, second], &map).unwrap();
    assert_eq!(of(&runs, Owner::Customer(0)), [run(0, 0, 1), run(0, 2, 1)]);
    assert_eq!(of(&runs, Owner::Customer(1)), [run(1, 0, 1), run(1, 1, 1)]);
    assert_eq!(of(&runs, Owner::Customer(2)), [run(0, 1, 1)]);
    assert_eq!(of(&runs, Owner::Customer(3)), []);
    assert_eq!(of(&runs, Owner::Nobody), [run(0, 3, 1)]);
    let partitions = runs.partitions(2, &Spreads::default()).unwrap();
    let mut with_rows = [visited(&partitions, 0), visited(&partitions, 1)].concat();
    with_rows.sort_unstable();
    assert_eq!(with_rows, [0, 1, 2]);
    for partition in 0..2 {
        let mut customers = visited(&partitions, partition).into_iter();
        assert!(customers.all(|one| partitions.of(Owner::Customer(one)) == partition));
    }
}

#[test]
fn an_identifier_beyond_the_map_is_an_error() {
    let map = IdentityMap::new(vec![0]).unwrap();
    for unknown in [1, 5] {
        let file = file(&[(Some(unknown), Some(unknown))]);
        assert!(CustomerRuns::of_files(&[file], &map).is_err());
    }
}

#[test]
fn few_rows_of_many_customers_are_listed_like_many() {
    let map = IdentityMap::new((0..100).collect()).unwrap();
    let few = || [sorted(vec![0, 4, 4, 90]), sorted(vec![90])];
    let listed = CustomerRuns::of_files(&few(), &map).unwrap();
    let all = CustomerRuns::of_all(&few(), &map).unwrap();
    assert!(matches!((&listed.listed, &all.listed), (Places::Listed { .. }, Places::All(_))));
    for owner in (0..100).map(Owner::Customer).chain([Owner::Nobody]) {
        assert_eq!(of(&listed, owner), of(&all, owner));
    }
}

/// A map in which identifiers of two customers are one, or one is on its own again.
#[derive(Clone, Debug)]
enum Change {
    Merge(usize, usize),
    Split(usize),
}

fn changed(map: &[u32], new: usize, changes: &[Change]) -> IdentityMap {
    let mut sets = map.to_vec();
    sets.extend((map.len() as u32..).take(new));
    for change in changes {
        match *change {
            Change::Merge(one, other) => {
                let (from, to) = (sets[one % sets.len()], sets[other % sets.len()]);
                sets.iter_mut().filter(|set| **set == from).for_each(|set| *set = to);
            }
            // A number of a set that nobody else has.
            Change::Split(one) => {
                let place = one % sets.len();
                sets[place] = u32::MAX - place as u32;
            }
        }
    }
    // A customer's number is that of the first in the set.
    let first = |set: &u32| sets.iter().position(|other| other == set).unwrap() as u32;
    IdentityMap::new(sets.iter().map(first).collect()).unwrap()
}

fn changes(split: u32) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (0..40_usize, 0..40_usize).prop_map(|(one, other)| Change::Merge(one, other)),
        split => (0..40_usize).prop_map(Change::Split),
    ];
    prop::collection::vec(change, 0..6)
}

fn files(identifiers: u32) -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..=identifiers, 0..12), 0..4)
}

/// What an arrangement and later files must say, looked up for everybody.
fn expected(
    arranged: &Arrangement,
    later: &[IndexedFile],
    map: &IdentityMap,
) -> BTreeMap<usize, Vec<Run>> {
    let customers = map.len();
    let mut all = BTreeMap::<usize, Vec<Run>>::new();
    for before in 0..arranged.identities().len() as u32 {
        if let Some(run) = arranged.run_of(Owner::Customer(before)) {
            all.entry(map.customer_of(before) as usize).or_default().push(run);
        }
    }
    all.entry(customers).or_default().extend(arranged.run_of(Owner::Nobody));
    for (number, file) in (1..).zip(later) {
        let put = |owner: Owner, run: Run| {
            all.entry(owner.place(customers)).or_default().push(run);
            Ok(())
        };
        for_each_run(number, file, map, put).unwrap();
    }
    all.retain(|_, runs| !runs.is_empty());
    all
}

/// Whether the rows of each arranged customer are one customer's, looked up for everybody.
fn is_whole(arranged: &Arrangement, map: &IdentityMap) -> bool {
    let before = arranged.identities();
    let with_rows = (0..before.len() as u32).map(Owner::Customer);
    let mut with_rows = with_rows.filter(|&owner| arranged.run_of(owner).is_some());
    with_rows.all(|owner| {
        let identifiers = before.identifiers_of(owner.place(0) as u32).iter();
        let now = identifiers.map(|&one| map.customer_of(one)).collect::<Vec<_>>();
        now.windows(2).all(|pair| pair[0] == pair[1])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // If this fails, a customer's rows are found by one thread and lost between two.
    #[test]
    fn shares_of_any_size_list_what_a_look_at_all_does(
        rows in files(30),
        changes in changes(1),
        share in 1..40_usize,
    ) {
        let map = changed(&[], 31, &changes);
        let files: Vec<IndexedFile> = rows.into_iter().map(sorted).collect();
        let mut expected = vec![Vec::new(); map.len() + 1];
        for (number, file) in (0..).zip(&files) {
            let put = |owner: Owner, run: Run| {
                expected[owner.place(map.len())].push(run);
                Ok(())
            };
            for_each_run(number, file, &map, put).unwrap();
        }
        let runs = CustomerRuns::of_shares(&files, &map, share).unwrap();
        for (place, expected) in expected.into_iter().enumerate() {
            prop_assert_eq!(of(&runs, owner_at(place as u32, map.len())), expected);
        }
    }

    // If this fails, rows are counted for the wrong customer after a commit, twice or not at all.
    #[test]
    fn beside_an_arrangement_everybody_has_the_runs_of_all_parts(
        before in changes(1),
        old in files(20),
        new_identifiers in 0..80_usize,
        since in changes(1),
        later in files(30),
        partitions in 1..4_usize,
    ) {
        let first = Arc::new(changed(&(0..20).collect::<Vec<_>>(), 0, &before));
        let old = old.into_iter().map(sorted).collect::<Vec<_>>();
        let runs = CustomerRuns::of_files(&old, &first).unwrap();
        let spreads = Spreads::default();
        let arranged = Arrangement::new(Vec::new(), &runs, partitions, first.clone(), &spreads);
        let arranged = Arc::new(arranged.unwrap().unwrap());
        let now = Arc::new(changed(first.as_slice(), new_identifiers, &since));
        let serves = arranged.serves(&std::collections::HashSet::new(), &now);
        prop_assert_eq!(serves, is_whole(&arranged, &now));
        prop_assume!(serves);
        let known = |row: u32| if row as usize > now.len() { 0 } else { row };
        let later = later.into_iter().map(|rows| sorted(rows.into_iter().map(known).collect()));
        let later = later.collect::<Vec<_>>();
        let runs = CustomerRuns::beside(arranged.clone(), &later, &now).unwrap();
        let expected = expected(&arranged, &later, &now);
        let owners = (0..now.len() as u32).map(Owner::Customer).chain([Owner::Nobody]);
        for owner in owners {
            let wanted = expected.get(&owner.place(now.len())).cloned().unwrap_or_default();
            prop_assert_eq!(of(&runs, owner), wanted, "{:?}", owner);
        }
        // Everybody with rows is visited once, in the partition of their number, in ascending order.
        let spread = runs.partitions(partitions, &spreads).unwrap();
        let mut all = Vec::new();
        for partition in 0..partitions {
            let mut visited = visited(&spread, partition);
            prop_assert!(visited.is_sorted());
            prop_assert!(visited.iter().all(|&one| spread.of(Owner::Customer(one)) == partition));
            visited.retain(|&one| runs.of(Owner::Customer(one)).next().is_some());
            all.extend(visited);
        }
        all.sort_unstable();
        let with_rows = expected.keys().filter(|&&number| number < now.len());
        prop_assert_eq!(all, with_rows.map(|&number| number as u32).collect::<Vec<_>>());
    }
}
