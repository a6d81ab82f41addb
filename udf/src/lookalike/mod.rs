//! Lookalikes: customers whose habits are most like those of some seed customers.
//!
//! The profile of a customer says how often each feature was seen, such as each kind of event. The
//! centroid is the mean profile of the seeds. A customer's score is the cosine of the angle between
//! profile and centroid: 1 for the same mix of features, 0 for nothing in common; how much a
//! customer does makes no difference. Equal scores stand in the order of customers.
//!
//! Features are put in the order of their names before anything is added up, so the answer does
//! not depend on how customers are spread over [`Profiles`].

use std::collections::HashMap;

use crate::names::Names;

/// Who may be a seed or be found, and how many are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct LookalikeRule {
    /// How many customers to find.
    pub size: usize,
    /// Customers with fewer events than this have no profile.
    pub events_min: u64,
}

/// The profiles of customers who come one after the other.
#[derive(Debug)]
pub struct Profiles {
    events_min: u64,
    names: Names,
    customers: Vec<i64>,
    /// Where each customer's counts begin.
    starts: Vec<usize>,
    counts: Vec<(u32, u32)>,
    customer: Option<i64>,
    /// How often the customer at hand showed each feature, and which of them at all.
    now: Vec<u32>,
    shown: Vec<u32>,
}

impl Profiles {
    /// No customers yet.
    pub fn new(rule: &LookalikeRule) -> Self {
        Self {
            events_min: rule.events_min,
            names: Names::default(),
            customers: Vec::new(),
            starts: Vec::new(),
            counts: Vec::new(),
            customer: None,
            now: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// The names of features.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// What follows belongs to this customer, who has not been here before.
    pub fn begin_customer(&mut self, customer: i64) {
        self.settle();
        self.customer = Some(customer);
        self.now.resize(self.names.len(), 0);
    }

    /// The customer at hand showed a feature, by its number among the names.
    pub fn observe(&mut self, feature: u32) {
        let place = feature as usize;
        if place >= self.now.len() {
            self.now.resize(self.names.len().max(place + 1), 0);
        }
        if self.now[place] == 0 {
            self.shown.push(feature);
        }
        self.now[place] = self.now[place].saturating_add(1);
    }

    /// About how many bytes are held.
    pub fn size(&self) -> usize {
        self.customers.capacity() * size_of::<i64>()
            + self.starts.capacity() * size_of::<usize>()
            + self.counts.capacity() * size_of::<(u32, u32)>()
            + self.names.size()
    }

    fn settle(&mut self) {
        let Some(customer) = self.customer.take() else {
            return;
        };
        let counts = self.shown.iter().map(|&feature| u64::from(self.now[feature as usize]));
        if counts.sum::<u64>() >= self.events_min && !self.shown.is_empty() {
            self.customers.push(customer);
            self.starts.push(self.counts.len());
            let counts = self.shown.iter().map(|&name| (name, self.now[name as usize]));
            self.counts.extend(counts);
        }
        for feature in self.shown.drain(..) {
            self.now[feature as usize] = 0;
        }
    }

    fn counts_of(&self, place: usize) -> &[(u32, u32)] {
        let end = self.starts.get(place + 1).copied().unwrap_or(self.counts.len());
        &self.counts[self.starts[place]..end]
    }
}

/// A customer who is like the seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookalike {
    /// Who.
    pub customer: i64,
    /// How much, from 0 to 1.
    pub score: f64,
    /// The features that it is owed to, the most important one first, with their shares of it.
    pub features: Vec<(String, f64)>,
}

/// How many features explain a score.
const FEATURES_NAMED: usize = 3;

/// The customers who are most like the seeds and are none themselves, the most similar one first.
/// Nobody, when no seed has a profile.
pub fn lookalikes(
    mut parts: Vec<Profiles>,
    is_seed: impl Fn(i64) -> bool,
    rule: &LookalikeRule,
) -> Vec<Lookalike> {
    parts.iter_mut().for_each(Profiles::settle);
    let (names, places) = features_in_order(&parts);
    let Some(centroid) = centroid(&parts, &places, names.len(), &is_seed) else {
        return Vec::new();
    };
    let length = centroid.iter().map(|value| value * value).sum::<f64>().sqrt();
    let mut found = Vec::new();
    let mut profile = vec![0.0; names.len()];
    for (part, (profiles, places)) in parts.iter().zip(&places).enumerate() {
        for (place, &customer) in profiles.customers.iter().enumerate() {
            if is_seed(customer) {
                continue;
            }
            fill(&mut profile, profiles.counts_of(place), places);
            let (mut dot, mut square) = (0.0, 0.0);
            for (value, mean) in profile.iter().zip(&centroid) {
                dot += value * mean;
                square += value * value;
            }
            let score = dot / (square.sqrt() * length);
            found.push(Found { score, customer, part, place });
        }
    }
    let wanted = rule.size.min(found.len());
    if wanted < found.len() {
        found.select_nth_unstable_by(wanted, Found::compare);
        found.truncate(wanted);
    }
    found.sort_unstable_by(Found::compare);
    let explained = found.into_iter().map(|found| {
        fill(&mut profile, parts[found.part].counts_of(found.place), &places[found.part]);
        let features = explanation(&profile, &centroid, &names);
        Lookalike { customer: found.customer, score: found.score, features }
    });
    explained.collect()
}

/// A customer with a score, and where the profile is.
struct Found {
    score: f64,
    customer: i64,
    part: usize,
    place: usize,
}

impl Found {
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.customer.cmp(&other.customer))
    }
}

/// All features by name, and for each part the place of each of its features among them.
fn features_in_order(parts: &[Profiles]) -> (Vec<String>, Vec<Vec<usize>>) {
    let all =
        parts.iter().flat_map(|part| (0..part.names.len()).map(|n| part.names.text(n as u32)));
    let mut names = all.map(str::to_owned).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let place_of: HashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let places = parts.iter().map(|part| {
        let features = 0..part.names.len() as u32;
        features.map(|feature| place_of[part.names.text(feature)]).collect()
    });
    let places = places.collect();
    (names, places)
}

/// The mean profile of the seeds. Counts are whole numbers: their sum has no rounding.
fn centroid(
    parts: &[Profiles],
    places: &[Vec<usize>],
    features: usize,
    is_seed: &impl Fn(i64) -> bool,
) -> Option<Vec<f64>> {
    let mut sums = vec![0_u64; features];
    let mut seeds = 0_u64;
    for (profiles, places) in parts.iter().zip(places) {
        for (place, &customer) in profiles.customers.iter().enumerate() {
            if is_seed(customer) {
                seeds += 1;
                for &(feature, count) in profiles.counts_of(place) {
                    sums[places[feature as usize]] += u64::from(count);
                }
            }
        }
    }
    (seeds > 0).then(|| sums.into_iter().map(|sum| sum as f64 / seeds as f64).collect())
}

fn fill(profile: &mut [f64], counts: &[(u32, u32)], places: &[usize]) {
    profile.fill(0.0);
    for &(feature, count) in counts {
        profile[places[feature as usize]] = f64::from(count);
    }
}

fn explanation(profile: &[f64], centroid: &[f64], names: &[String]) -> Vec<(String, f64)> {
    let parts = profile.iter().zip(centroid).map(|(value, mean)| value * mean);
    let mut parts = parts.enumerate().filter(|(_, part)| *part > 0.0).collect::<Vec<_>>();
    let all = parts.iter().map(|(_, part)| part).sum::<f64>();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    parts.truncate(FEATURES_NAMED);
    parts.into_iter().map(|(name, part)| (names[name].clone(), part / all)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
