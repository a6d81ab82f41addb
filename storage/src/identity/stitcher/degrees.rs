//! To how many values of each limited namespace each identifier is linked.

use crate::identity::rules::Rules;

/// Counts per identifier, for the namespaces of which a degree is limited.
#[derive(Clone, Debug, Default)]
pub(super) struct Degrees {
    targets: Vec<u16>,
    counts: Vec<u32>,
}

impl Degrees {
    /// No counts, under these rules.
    pub fn new(rules: &Rules) -> Self {
        Self { targets: rules.degree_targets(), counts: Vec::new() }
    }

    /// Room for so many identifiers.
    pub fn grow(&mut self, identifiers: usize) {
        self.counts.resize(identifiers * self.targets.len(), 0);
    }

    /// Whether no degree is limited.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Counts that an identifier is linked to one more of `other`; whether that is more than its
    /// namespace allows.
    pub fn add(&mut self, end: (u32, u16), other: u16, rules: &Rules) -> bool {
        let (identifier, namespace) = end;
        let Some(max) = rules.degree_max(namespace, other) else {
            return false;
        };
        let Some(place) = self.targets.iter().position(|target| *target == other) else {
            return false;
        };
        let count = &mut self.counts[identifier as usize * self.targets.len() + place];
        *count += 1;
        *count > max
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u32>()
    }
}
