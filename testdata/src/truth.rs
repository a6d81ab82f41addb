//! What a test may know and the database must find out: who is who, and how much came.

use crate::shop::event::{BadReason, Row, ShopEvent};
use crate::shop::options::ShopOptions;
use crate::shop::simulation::Shop;
use std::collections::{BTreeMap, BTreeSet};

/// Which identifiers belong to which person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// By namespace and normalised value: the numbers of the people who used it, ascending. More
    /// than one stands at shared devices only. Values that mean nobody (`null`) are left out.
    pub people: BTreeMap<(String, String), BTreeSet<u32>>,
    /// How many purchases each person made, and their sum in cents, refunds taken off.
    pub purchases: BTreeMap<u32, (u64, i64)>,
}

impl Truth {
    /// The truth of a shop.
    pub fn of(options: ShopOptions) -> Self {
        let mut truth = Self::default();
        for row in Shop::new(options) {
            if let Row::Event(event) = row {
                truth.observe(&event);
            }
        }
        truth
    }

    /// Takes in one event; duplicates must not be shown to it.
    pub fn observe(&mut self, event: &ShopEvent) {
        for (namespace, value) in event.identifiers().filter(|(_, value)| *value != "null") {
            let normalised = match namespace {
                "email" => value.trim().to_lowercase(),
                _ => value.trim().to_owned(),
            };
            let key = (namespace.to_owned(), normalised);
            self.people.entry(key).or_default().insert(event.person);
        }
        let Some(amount_cents) = event.amount_cents else {
            return;
        };
        let (purchases, total_cents) = self.purchases.entry(event.person).or_default();
        *purchases += u64::from(event.event == "purchase");
        *total_cents += amount_cents;
    }

    /// The identifiers that more than one person used.
    pub fn shared(&self) -> impl Iterator<Item = &(String, String)> {
        self.people.iter().filter(|(_, people)| people.len() > 1).map(|(identifier, _)| identifier)
    }
}

/// How many rows of each kind a shop delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different events.
    pub events: u64,
    /// Events that came once more.
    pub duplicates: u64,
    /// Broken rows by reason.
    pub bad: BTreeMap<BadReason, u64>,
    /// Different events that arrived more than an hour after they happened.
    pub late: u64,
}

impl Tally {
    /// Counts the rows of a shop.
    pub fn of(options: ShopOptions) -> Self {
        let mut tally = Self::default();
        for row in Shop::new(options) {
            tally.observe(&row);
        }
        tally
    }

    /// Counts one row.
    pub fn observe(&mut self, row: &Row) {
        match row {
            Row::Event(event) => {
                self.events += 1;
                let late = event.received_at_us - event.ts_us > crate::calendar::HOUR;
                self.late += u64::from(late);
            }
            Row::Duplicate(_) => self.duplicates += 1,
            Row::Bad(bad) => *self.bad.entry(bad.reason).or_default() += 1,
        }
    }

    /// All broken rows.
    pub fn rejected(&self) -> u64 {
        self.bad.values().sum()
    }
}
