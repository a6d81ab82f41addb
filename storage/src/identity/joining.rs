//! Joining links one by one, with the limits and separations of each customer in the making.

use super::components::DisjointSets;
use super::rules::{IdentifierFacts, Limited, Link, LinkKind, Outcome, Rules, Statements};
use std::collections::HashMap;

/// Customers in the making.
pub(super) struct Joining {
    sets: DisjointSets,
    /// For each smallest member and each limited namespace: how many values.
    held: Vec<u32>,
    /// For each smallest member: with whom its set may not come together.
    separated_from: HashMap<u32, Vec<u32>>,
}

impl Joining {
    /// Each identifier a customer of its own.
    pub fn new(identifiers: &[IdentifierFacts], rules: &Rules, statements: &Statements) -> Self {
        let stride = rules.limited().len();
        let mut held = vec![0; identifiers.len() * stride];
        for (place, facts) in identifiers.iter().enumerate() {
            if let Some(limited) = rules.limited_place(facts.namespace) {
                held[place * stride + limited] = 1;
            }
        }
        let mut separated_from: HashMap<u32, Vec<u32>> = HashMap::new();
        for (a, b) in statements.separated() {
            separated_from.entry(a).or_default().push(b);
            separated_from.entry(b).or_default().push(a);
        }
        let len = u32::try_from(identifiers.len()).unwrap_or(u32::MAX);
        Self { sets: DisjointSets::new(len), held, separated_from }
    }

    /// Joins the customers of both ends if the rules allow it.
    pub fn join(&mut self, link: &Link, rules: &Rules) -> Outcome {
        let (a, b) = (self.sets.find(link.a), self.sets.find(link.b));
        if a == b {
            return Outcome::Accepted;
        }
        if self.are_separated(a, b) {
            return Outcome::Separated;
        }
        let broken = self.broken_limit(a, b, rules);
        match broken {
            Some(limited) if link.kind != LinkKind::ManualForced => {
                Outcome::LimitBroken { limited }
            }
            _ => {
                self.unite(a.min(b), a.max(b), rules.limited().len());
                Outcome::Accepted
            }
        }
    }

    fn are_separated(&mut self, a: u32, b: u32) -> bool {
        let (Some(from_a), Some(from_b)) =
            (self.separated_from.get(&a), self.separated_from.get(&b))
        else {
            return false;
        };
        let (fewer, other) = if from_a.len() <= from_b.len() { (from_a, b) } else { (from_b, a) };
        let sets = &mut self.sets;
        fewer.iter().any(|&member| sets.find(member) == other)
    }

    /// A customer that a forced link has put above a limit may still gain what it has none of.
    fn broken_limit(&self, a: u32, b: u32, rules: &Rules) -> Option<Limited> {
        let stride = rules.limited().len();
        rules.limited().iter().enumerate().find_map(|(place, &limited)| {
            let held_a = self.held[a as usize * stride + place];
            let held_b = self.held[b as usize * stride + place];
            let breaks = held_a > 0 && held_b > 0 && held_a + held_b > limited.max;
            breaks.then_some(limited)
        })
    }

    fn unite(&mut self, kept: u32, lost: u32, stride: usize) {
        self.sets.unite(kept, lost);
        for place in 0..stride {
            self.held[kept as usize * stride + place] += self.held[lost as usize * stride + place];
        }
        if let Some(mut moving) = self.separated_from.remove(&lost) {
            self.separated_from.entry(kept).or_default().append(&mut moving);
        }
    }

    /// The customer of each identifier: the smallest of its set.
    pub fn into_customers(self) -> Vec<u32> {
        self.sets.into_labels()
    }
}
