//! Why rows of a batch cannot be understood: the first reason of each row.

use std::collections::BTreeMap;

/// Texts in reasons are cut after so many characters: the raw row is kept besides.
const QUOTE_CHARACTERS_MAX: usize = 80;

/// The faulty rows of a batch. A row keeps the first reason that is found.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    reasons: BTreeMap<usize, String>,
}

impl Faults {
    /// This row cannot be understood.
    pub(crate) fn add(&mut self, row: usize, reason: impl FnOnce() -> String) {
        self.reasons.entry(row).or_insert_with(reason);
    }

    /// The faulty rows, ascending.
    pub(crate) fn into_reasons(self) -> BTreeMap<usize, String> {
        self.reasons
    }
}

/// A value as it stands in a reason.
pub(crate) fn quoted(value: &str) -> String {
    let mut short: String = value.chars().take(QUOTE_CHARACTERS_MAX).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("'{short}'")
}
