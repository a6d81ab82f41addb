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
    /// How often the customer at hand showed no feature, and then each of them by its number;
    /// in two parts, so that a row need not wait for the row before.
    now: Vec<[u64; 2]>,
    /// The features that the customer showed; when there are too many to look at each.
    shown: Vec<u32>,
}

/// So many features are looked at for each customer, whether shown or not.
const FEATURES_SCANNED: usize = 64;

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
            now: vec![[0; 2]],
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
    }

    /// The customer at hand showed a feature, by its number among the names.
    pub fn observe(&mut self, feature: u32) {
        self.observe_rows(&[feature]);
    }

    /// The customer at hand showed features; those that are [`Names::NONE`] are none.
    pub fn observe_rows(&mut self, features: &[u32]) {
        self.know_names();
        if !self.scans() {
            let are_new = features.iter().filter(|&&feature| {
                let count = &mut self.now[count_place(feature)];
                count[0] += 1;
                *count == [1, 0] && feature != Names::NONE
            });
            self.shown.extend(are_new);
            return;
        }
        let now = self.now.as_mut_slice();
        let pairs = features.chunks_exact(2);
        for &feature in pairs.remainder() {
            now[count_place(feature)][0] += 1;
        }
        for pair in pairs {
            now[count_place(pair[0])][0] += 1;
            now[count_place(pair[1])][1] += 1;
        }
    }

    /// About how many bytes are held.
    pub fn size(&self) -> usize {
        self.customers.capacity() * size_of::<i64>()
            + self.starts.capacity() * size_of::<usize>()
            + self.counts.capacity() * size_of::<(u32, u32)>()
            + self.names.size()
    }

    /// Whether the shown features are found by looking at all.
    fn scans(&self) -> bool {
        self.now.len() <= FEATURES_SCANNED + 1
    }

    /// Makes room for the counts of features that are new.
    fn know_names(&mut self) {
        if self.now.len() > self.names.len() {
            return;
        }
        let scanned = self.scans();
        self.now.resize(self.names.len() + 1, [0; 2]);
        if scanned && !self.scans() {
            let counts = (0..).zip(&self.now[1..]);
            self.shown.extend(counts.filter(|(_, count)| **count != [0; 2]).map(|(name, _)| name));
        }
    }

    fn settle(&mut self) {
        let Some(customer) = self.customer.take() else {
            return;
        };
        let start = self.counts.len();
        match self.scans() {
            true => self.keep_scanned(),
            false => self.keep_shown(),
        }
        let events = self.counts[start..].iter().map(|&(_, count)| u64::from(count));
        if self.counts.len() > start && events.sum::<u64>() >= self.events_min {
            self.customers.push(customer);
            self.starts.push(start);
        } else {
            self.counts.truncate(start);
        }
    }

    /// Keeps the counts of few features: all are written, and the next overwrites what is zero.
    fn keep_scanned(&mut self) {
        let start = self.counts.len();
        self.counts.resize(start + self.now.len(), (0, 0));
        let mut end = start;
        for (name, count) in (0..).zip(&mut self.now[1..]) {
            let count = whole(std::mem::take(count));
            self.counts[end] = (name, count);
            end += usize::from(count > 0);
        }
        self.counts.truncate(end);
    }

    fn keep_shown(&mut self) {
        for feature in self.shown.drain(..) {
            let count = std::mem::take(&mut self.now[count_place(feature)]);
            self.counts.push((feature, whole(count)));
        }
    }

    fn counts_of(&self, place: usize) -> &[(u32, u32)] {
        let end = self.starts.get(place + 1).copied().unwrap_or(self.counts.len());
        &self.counts[self.starts[place]..end]
    }
}

/// Where a feature is counted; [`Names::NONE`] is first.
fn count_place(feature: u32) -> usize {
    feature.wrapping_add(1) as usize
}

fn whole(count: [u64; 2]) -> u32 {
    u32::try_from(count[0] + count[1]).unwrap_or(u32::MAX)
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
    let is_seed =
        |part: &Profiles| part.customers.iter().map(|&customer| is_seed(customer)).collect();
    let seeds = parts.iter().map(is_seed).collect::<Vec<Vec<bool>>>();
    let Some(centroid) = centroid(&parts, &places, names.len(), &seeds) else {
        return Vec::new();
    };
    let mut scores = Scores::of(&centroid);
    let mut best = Best::new(rule.size);
    for (part, (profiles, places)) in parts.iter().zip(&places).enumerate() {
        for (place, &customer) in profiles.customers.iter().enumerate() {
            if !seeds[part][place] {
                let score = scores.score(profiles.counts_of(place), places);
                best.add(Found { score, customer, part, place });
            }
        }
    }
    let mut profile = vec![0.0; names.len()];
    let found = best.in_order();
    let explained = found.into_iter().map(|found| {
        fill(&mut profile, parts[found.part].counts_of(found.place), &places[found.part]);
        let features = explanation(&profile, &centroid, &names);
        Lookalike { customer: found.customer, score: found.score, features }
    });
    explained.collect()
}

/// A customer with a score, and where the profile is.
#[derive(Clone, Copy)]
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

/// The best of very many.
struct Best {
    wanted: usize,
    found: Vec<Found>,
    /// The first one that is not wanted.
    too_late: Option<Found>,
}

impl Best {
    fn new(wanted: usize) -> Self {
        Self { wanted, found: Vec::new(), too_late: None }
    }

    fn add(&mut self, found: Found) {
        if self.too_late.is_some_and(|too_late| found.compare(&too_late).is_gt()) {
            return;
        }
        self.found.push(found);
        // So seldom that each one found pays for a few comparisons.
        if self.found.len() > self.wanted.saturating_mul(2).max(1024) {
            self.forget_others();
        }
    }

    fn forget_others(&mut self) {
        if self.wanted < self.found.len() {
            let (_, too_late, _) = self.found.select_nth_unstable_by(self.wanted, Found::compare);
            self.too_late = Some(*too_late);
            self.found.truncate(self.wanted);
        }
    }

    fn in_order(mut self) -> Vec<Found> {
        self.forget_others();
        self.found.sort_unstable_by(Found::compare);
        self.found
    }
}

/// Computes scores, always in the order of features.
struct Scores<'a> {
    centroid: &'a [f64],
    length: f64,
    /// All values of a profile, when features are few.
    profile: Vec<f64>,
    /// Those that are not zero by feature, when features are many.
    shown: Vec<(usize, f64)>,
}

impl<'a> Scores<'a> {
    fn of(centroid: &'a [f64]) -> Self {
        let length = centroid.iter().map(|value| value * value).sum::<f64>().sqrt();
        Self { centroid, length, profile: vec![0.0; centroid.len()], shown: Vec::new() }
    }

    fn score(&mut self, counts: &[(u32, u32)], places: &[usize]) -> f64 {
        let (mut dot, mut square) = (0.0, 0.0);
        let mut add = |value: f64, mean: f64| {
            dot += value * mean;
            square += value * value;
        };
        if self.centroid.len() <= FEATURES_SCANNED {
            fill(&mut self.profile, counts, places);
            self.profile.iter().zip(self.centroid).for_each(|(&value, &mean)| add(value, mean));
        } else {
            // Zeros that are left out would have added nothing.
            let shown = counts.iter().map(|&(name, count)| (places[name as usize], count.into()));
            self.shown.clear();
            self.shown.extend(shown);
            self.shown.sort_unstable_by_key(|(place, _)| *place);
            self.shown.iter().for_each(|&(place, value)| add(value, self.centroid[place]));
        }
        dot / (square.sqrt() * self.length)
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
    is_seed: &[Vec<bool>],
) -> Option<Vec<f64>> {
    let mut sums = vec![0_u64; features];
    let mut seeds = 0_u64;
    for ((profiles, places), is_seed) in parts.iter().zip(places).zip(is_seed) {
        for (place, _) in is_seed.iter().enumerate().filter(|(_, is_seed)| **is_seed) {
            seeds += 1;
            for &(feature, count) in profiles.counts_of(place) {
                sums[places[feature as usize]] += u64::from(count);
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
mod tests;
