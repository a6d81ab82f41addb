//! Tests of the scores.

use super::*;
use proptest::prelude::*;

const RULE: LookalikeRule = LookalikeRule { size: 2, events_min: 1 };

fn profiles(rule: &LookalikeRule, customers: &[(i64, &str)]) -> Profiles {
    let mut profiles = Profiles::new(rule);
    for &(customer, features) in customers {
        profiles.begin_customer(customer);
        for feature in features.split(' ').filter(|feature| !feature.is_empty()) {
            let feature = profiles.names().number(feature);
            profiles.observe(feature);
        }
    }
    profiles
}

fn found(rule: LookalikeRule, parts: &[&[(i64, &str)]], seeds: &[i64]) -> Vec<(i64, f64)> {
    let parts = parts.iter().map(|customers| profiles(&rule, customers)).collect();
    let found = lookalikes(parts, |customer| seeds.contains(&customer), &rule);
    found.into_iter().map(|found| (found.customer, (found.score * 1e3).round() / 1e3)).collect()
}

#[test]
fn the_same_mix_scores_one_however_much_a_customer_does() {
    let customers: &[_] = &[(1, "a b"), (2, "a a b b"), (3, "c"), (4, "a")];
    assert_eq!(found(RULE, &[customers], &[1]), [(2, 1.0), (4, 0.707)]);
}

#[test]
fn parts_may_know_features_by_other_numbers() {
    let parts: [&[_]; 2] = [&[(1, "a b"), (3, "c")], &[(2, "b b a a"), (4, "a")]];
    assert_eq!(found(RULE, &parts, &[1]), [(2, 1.0), (4, 0.707)]);
}

#[test]
fn equal_scores_stand_in_the_order_of_customers() {
    let customers: &[_] = &[(9, "a"), (7, "a"), (8, "a"), (1, "a")];
    assert_eq!(found(RULE, &[customers], &[1]), [(7, 1.0), (8, 1.0)]);
}

#[test]
fn without_seeds_nobody_is_like_them() {
    assert_eq!(found(RULE, &[&[(1, "a")]], &[]), []);
    let few = LookalikeRule { events_min: 2, ..RULE };
    assert_eq!(found(few, &[&[(1, "a"), (2, "a a")]], &[1]), []);
}

#[test]
fn a_score_is_explained_by_its_largest_parts() {
    let parts = vec![profiles(&RULE, &[(1, "a a b"), (2, "a b b")])];
    let found = lookalikes(parts, |customer| customer == 1, &RULE);
    assert_eq!(found[0].features, [("a".to_owned(), 0.5), ("b".to_owned(), 0.5)]);
}

/// The rows of a customer: which feature, if any.
type Customer = Vec<Option<usize>>;

fn fast(
    rule: &LookalikeRule,
    customers: &[(i64, Customer)],
    batch: usize,
    known: usize,
) -> Profiles {
    let mut profiles = Profiles::new(rule);
    (0..known).for_each(|name| _ = profiles.names().number(&name.to_string()));
    for (customer, rows) in customers {
        profiles.begin_customer(*customer);
        for rows in rows.chunks(batch) {
            let number = |row: &Option<usize>| {
                row.map_or(Names::NONE, |name| profiles.names().number(&name.to_string()))
            };
            let features = rows.iter().map(number).collect::<Vec<_>>();
            profiles.observe_rows(&features);
        }
    }
    profiles
}

fn slow(rule: &LookalikeRule, all: &[(i64, Customer)], seeds: i64) -> Vec<Lookalike> {
    let features = all.iter().flat_map(|(_, rows)| rows.iter().flatten().map(usize::to_string));
    let mut names = features.collect::<Vec<_>>();
    names.sort();
    names.dedup();
    let profile = |(customer, rows): &(i64, Customer)| {
        let shown = rows.iter().flatten().map(usize::to_string).collect::<Vec<_>>();
        let count = |name| shown.iter().filter(|shown| *shown == name).count() as f64;
        let has_profile = !shown.is_empty() && shown.len() as u64 >= rule.events_min;
        has_profile.then(|| (*customer, names.iter().map(count).collect::<Vec<_>>()))
    };
    let (seeds, others): (Vec<_>, Vec<_>) =
        all.iter().filter_map(profile).partition(|(customer, _)| *customer < seeds);
    if seeds.is_empty() {
        return Vec::new();
    }
    let sum = |name: usize| seeds.iter().map(|(_, profile)| profile[name]).sum::<f64>();
    let centroid = (0..names.len()).map(|name| sum(name) / seeds.len() as f64);
    let centroid = centroid.collect::<Vec<_>>();
    let product = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).map(|(a, b)| a * b).fold(0.0, |sum: f64, part| sum + part)
    };
    let found = others.into_iter().map(|(customer, profile)| {
        let lengths = product(&profile, &profile).sqrt() * product(&centroid, &centroid).sqrt();
        let score = product(&profile, &centroid) / lengths;
        Lookalike { customer, score, features: explanation(&profile, &centroid, &names) }
    });
    let mut found = found.collect::<Vec<_>>();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.customer.cmp(&b.customer)));
    found.truncate(rule.size);
    found
}

// If this fails, lookalike finds other people, or scores them otherwise, than it says.
#[test]
fn profiles_of_many_rows_score_as_counts_of_each_feature() {
    // With more features than are scanned, the others are on the list.
    let features = prop::sample::select(vec![1_usize, 5, 70, 200]);
    let row = prop::option::weighted(0.9, 0..200_usize);
    let customers = prop::collection::vec(prop::collection::vec(row, 0..40), 1..12);
    let rule = (0..5_usize, 0..9_u64);
    let rule = rule.prop_map(|(size, events_min)| LookalikeRule { size, events_min });
    // So many features have numbers before the first row: few are left to the scanned ones.
    let known = prop::sample::select(vec![0_usize, 58, 62, 64, 65]);
    let how = (1..50_usize, 0..5_i64, 0..12_usize, known);
    proptest!(|(features in features, customers in customers, rule in rule, how in how)| {
        let (batch, seeds, cut, known) = how;
        let feature = |row: Option<usize>| row.map(|feature| feature % features);
        let rows = customers.into_iter().map(|rows| rows.into_iter().map(feature).collect());
        let all = (0..).zip(rows).collect::<Vec<(i64, Customer)>>();
        let parts = all.split_at(cut.min(all.len()));
        let parts = [parts.0, parts.1].map(|part| fast(&rule, part, batch, known)).into();
        let found = lookalikes(parts, |customer| customer < seeds, &rule);
        prop_assert_eq!(found, slow(&rule, &all, seeds));
    });
}

#[test]
fn a_customer_in_whose_time_features_become_many_has_each_once() {
    let mut profiles = profiles(&RULE, &[(1, "")]);
    let know = |profiles: &mut Profiles, count: usize| {
        (0..count).for_each(|name| _ = profiles.names().number(&name.to_string()));
    };
    know(&mut profiles, FEATURES_SCANNED);
    profiles.observe_rows(&[5, 6, Names::NONE]);
    know(&mut profiles, FEATURES_SCANNED + 1);
    profiles.observe_rows(&[6, Names::NONE, FEATURES_SCANNED as u32]);
    profiles.settle();
    assert_eq!(profiles.counts, [(5, 1), (6, 2), (FEATURES_SCANNED as u32, 1)]);
}

#[test]
fn the_best_of_very_many_are_those_of_a_sorted_list() {
    let score = |customer: i64| ((customer * 7919) % 613) as f64;
    let found = |customer| Found { score: score(customer), customer, part: 0, place: 0 };
    for wanted in [0, 1, 10, 700, 9_000] {
        let mut best = Best::new(wanted);
        (0..5_000).rev().for_each(|customer| best.add(found(customer)));
        let best = best.in_order().into_iter().map(|found| found.customer);
        let mut expected = (0..5_000).map(found).collect::<Vec<_>>();
        expected.sort_by(Found::compare);
        let expected = expected.into_iter().map(|found| found.customer).take(wanted);
        assert!(best.eq(expected), "{wanted} wanted");
    }
}
