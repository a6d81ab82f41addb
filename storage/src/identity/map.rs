//! The dense array from identifiers to customers of one version, and its inverse.

use crate::error::{Error, Result};
use roaring::RoaringBitmap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// So many identifiers are compared at once when two maps are.
const COMPARED_AT_ONCE: usize = 1024;
/// So often all identifiers are looked through for those of some customers before the inverse is made:
/// a process that asks for one customer and ends has no use for it.
const SCANS_MAX: u32 = 4;

/// Which customer each identifier belongs to. A customer's number is the smallest identifier_id of
/// its set, so the number of a customer that merged away still leads to where it went.
///
/// ```
/// use habitue_storage::identity::IdentityMap;
/// let map = IdentityMap::new(vec![0, 1, 0])?;
/// assert_eq!(map.customer_of(2), 0);
/// assert_eq!(map.identifiers_of(0), [0, 2]);
/// assert_eq!(map.customers().len(), 2);
/// # Ok::<(), habitue_storage::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct IdentityMap {
    customers_by_identifier: Vec<u32>,
    customers: OnceLock<RoaringBitmap>,
    customers_len: OnceLock<u64>,
    members: OnceLock<Members>,
    scans: AtomicU32,
}

/// The identifiers of all customers in one array, and where those of each customer begin.
#[derive(Debug)]
struct Members {
    starts: Vec<u32>,
    identifiers: Vec<u32>,
}

impl IdentityMap {
    /// A map from a dense array.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a customer's number is not the number of one of its identifiers, or
    /// not the smallest.
    pub fn new(customers_by_identifier: Vec<u32>) -> Result<Self> {
        for (identifier, &customer) in customers_by_identifier.iter().enumerate() {
            let is_smallest = customer as usize <= identifier;
            if !is_smallest || customers_by_identifier[customer as usize] != customer {
                let reason = format!("identifier {identifier} leads to {customer}, no customer");
                return Err(Error::corrupt("identity map", reason));
            }
        }
        Ok(Self { customers_by_identifier, ..Self::default() })
    }

    /// The customer of an identifier; of a number that rests, the customer it merged into. An
    /// identifier that the map does not cover is a customer of its own.
    #[inline]
    pub fn customer_of(&self, identifier: u32) -> u32 {
        self.customers_by_identifier.get(identifier as usize).copied().unwrap_or(identifier)
    }

    /// The identifiers that have another customer than before, ascending; new ones are none of them.
    ///
    /// ```
    /// # use habitue_storage::identity::IdentityMap;
    /// let before = IdentityMap::new(vec![0, 1, 2])?;
    /// let now = IdentityMap::new(vec![0, 1, 1, 0])?;
    /// assert_eq!(now.moved_since(&before), [2]);
    /// # Ok::<(), habitue_storage::Error>(())
    /// ```
    pub fn moved_since(&self, before: &Self) -> Vec<u32> {
        let mut moved = Vec::new();
        if std::ptr::eq(self, before) {
            return moved;
        }
        let both = self.as_slice().chunks(COMPARED_AT_ONCE);
        let both = both.zip(before.as_slice().chunks(COMPARED_AT_ONCE));
        for (number, (now, then)) in both.enumerate() {
            let common = now.len().min(then.len());
            // Mostly nothing differs, which is seen without a look at each.
            if now[..common] == then[..common] {
                continue;
            }
            let first = (number * COMPARED_AT_ONCE) as u32;
            let pairs = (first..).zip(now.iter().zip(then));
            moved.extend(pairs.filter(|(_, (now, then))| now != then).map(|(place, _)| place));
        }
        moved
    }

    /// The same with what `before` knows of its customers, so that whoever asks for all of them pays
    /// for the difference only.
    pub(crate) fn following(self, before: &Self) -> Self {
        let Some(known) = before.customers.get().filter(|_| before.len() <= self.len()) else {
            return self;
        };
        let mut customers = known.clone();
        for identifier in self.moved_since(before) {
            match self.customer_of(identifier) == identifier {
                true => customers.insert(identifier),
                false => customers.remove(identifier),
            };
        }
        let new = before.len() as u32..self.len() as u32;
        customers.extend(new.filter(|&identifier| self.customer_of(identifier) == identifier));
        Self { customers: OnceLock::from(customers), ..self }
    }

    /// How many identifiers the map covers.
    pub fn len(&self) -> usize {
        self.customers_by_identifier.len()
    }

    /// Whether there are no identifiers.
    pub fn is_empty(&self) -> bool {
        self.customers_by_identifier.is_empty()
    }

    /// The customers by identifier_id.
    pub fn as_slice(&self) -> &[u32] {
        &self.customers_by_identifier
    }

    /// The identifiers of a customer, ascending; none when there is no such customer, also for a
    /// number that rests. The first call builds the inverse, 8 bytes per identifier.
    pub fn identifiers_of(&self, customer: u32) -> &[u32] {
        let members = self.members.get_or_init(|| Members::of(&self.customers_by_identifier));
        let customer = customer as usize;
        match (members.starts.get(customer), members.starts.get(customer + 1)) {
            (Some(&start), Some(&end)) => &members.identifiers[start as usize..end as usize],
            _ => &[],
        }
    }

    /// The identifiers of all these customers, in no order, unless they are more than `max`, or the
    /// customers are.
    ///
    /// ```
    /// # use habitue_storage::identity::IdentityMap;
    /// let map = IdentityMap::new(vec![0, 1, 0])?;
    /// assert_eq!(map.few_identifiers_of(&[0, 7].into(), 2), Some(vec![0, 2]));
    /// assert_eq!(map.few_identifiers_of(&[0, 7].into(), 1), None);
    /// # Ok::<(), habitue_storage::Error>(())
    /// ```
    pub fn few_identifiers_of(&self, customers: &RoaringBitmap, max: usize) -> Option<Vec<u32>> {
        if customers.len() > max as u64 {
            return None;
        }
        let known: Vec<u32> = customers.iter().filter(|&one| self.is_customer(one)).collect();
        let is_scanned =
            self.members.get().is_none() && self.scans.fetch_add(1, Ordering::Relaxed) < SCANS_MAX;
        let found: Vec<u32> = match is_scanned {
            true => self.scanned_for(&known).take(max + 1).collect(),
            false => {
                let found = known.iter().flat_map(|&customer| self.identifiers_of(customer));
                found.copied().take(max + 1).collect()
            }
        };
        (found.len() <= max).then_some(found)
    }

    /// The identifiers of these few customers, without the inverse.
    fn scanned_for(&self, customers: &[u32]) -> impl Iterator<Item = u32> {
        let chunks = (0_u32..).step_by(COMPARED_AT_ONCE);
        let chunks = chunks.zip(self.customers_by_identifier.chunks(COMPARED_AT_ONCE));
        // Mostly a chunk has nobody of them, which is seen without a look at each.
        let hit = chunks.filter(|(_, chunk)| customers.iter().any(|one| chunk.contains(one)));
        hit.flat_map(|(first, chunk)| {
            let numbered = (first..).zip(chunk);
            numbered.filter(|(_, one)| customers.contains(one)).map(|(identifier, _)| identifier)
        })
    }

    /// Whether this is the number of a customer that the map knows, and rests not.
    pub fn is_customer(&self, number: u32) -> bool {
        self.customers_by_identifier.get(number as usize) == Some(&number)
    }

    /// How many customers there are.
    pub fn customers_len(&self) -> u64 {
        *self.customers_len.get_or_init(|| match self.customers.get() {
            Some(customers) => customers.len(),
            None => {
                let numbered = (0_u32..).zip(&self.customers_by_identifier);
                numbered.filter(|(identifier, customer)| identifier == *customer).count() as u64
            }
        })
    }

    /// How many of these are customers.
    pub fn known_among(&self, wanted: &RoaringBitmap) -> u64 {
        match self.customers.get() {
            Some(customers) => customers.intersection_len(wanted),
            None => wanted.iter().filter(|&number| self.is_customer(number)).count() as u64,
        }
    }

    /// The numbers of all customers.
    pub fn customers(&self) -> &RoaringBitmap {
        self.customers.get_or_init(|| {
            let numbered = (0_u32..).zip(&self.customers_by_identifier);
            numbered
                .filter(|(identifier, customer)| identifier == *customer)
                .map(|(identifier, _)| identifier)
                .collect()
        })
    }
}

impl Members {
    /// Sorts the identifiers by customer, by counting.
    fn of(customers_by_identifier: &[u32]) -> Self {
        let mut starts = vec![0_u32; customers_by_identifier.len() + 1];
        for &customer in customers_by_identifier {
            starts[customer as usize + 1] += 1;
        }
        for customer in 1..starts.len() {
            starts[customer] += starts[customer - 1];
        }
        let mut free = starts.clone();
        let mut identifiers = vec![0; customers_by_identifier.len()];
        for (identifier, &customer) in (0_u32..).zip(customers_by_identifier) {
            let place = &mut free[customer as usize];
            identifiers[*place as usize] = identifier;
            *place += 1;
        }
        Self { starts, identifiers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_of_a_resting_number_are_none_and_it_leads_on() {
        let map = IdentityMap::new(vec![0, 0, 2, 0, 2]).unwrap();
        assert_eq!(map.identifiers_of(0), [0, 1, 3]);
        assert_eq!(map.identifiers_of(1), [0_u32; 0]);
        assert_eq!(map.identifiers_of(2), [2, 4]);
        assert_eq!(map.identifiers_of(5), [0_u32; 0]);
        assert_eq!(map.customer_of(1), 0);
        assert_eq!(map.customer_of(9), 9);
        assert_eq!(map.customers().iter().collect::<Vec<_>>(), [0, 2]);
    }

    /// A map in which everybody may belong to whoever came before.
    fn map(choices: &[u8]) -> IdentityMap {
        let mut customers = Vec::<u32>::new();
        for (identifier, &choice) in (0_u32..).zip(choices) {
            let of = identifier.saturating_sub(u32::from(choice % 4)) as usize;
            customers.push(customers.get(of).copied().unwrap_or(identifier));
        }
        IdentityMap::new(customers).unwrap()
    }

    proptest! {
        // If this fails, the first questions about a customer leave out rows, or the later ones do.
        #[test]
        fn few_identifiers_are_those_of_the_inverse(
            choices in prop::collection::vec(any::<u8>(), 0..3000),
            // Where one stretch of what is compared at once ends and the next begins, too.
            wanted in prop::collection::btree_set(prop_oneof![0..3100_u32, 1018..1030_u32], 0..5),
            max in 0..40_usize,
        ) {
            let map = map(&choices);
            let wanted = wanted.into_iter().collect::<RoaringBitmap>();
            let numbered = (0_u32..).zip(map.as_slice());
            let members = numbered.filter(|&(_, &customer)| wanted.contains(customer));
            let expected: Vec<u32> = members.map(|(identifier, _)| identifier).collect();
            for _ in 0..2 * SCANS_MAX {
                let found = map.few_identifiers_of(&wanted, max).map(|mut found| {
                    found.sort_unstable();
                    found
                });
                let is_few = expected.len() <= max && wanted.len() <= max as u64;
                prop_assert_eq!(found, is_few.then(|| expected.clone()));
            }
            let customers = map.as_slice().iter().collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(map.customers_len(), customers.len() as u64);
            let known = wanted.iter().filter(|one| customers.contains(one)).count() as u64;
            prop_assert_eq!(map.known_among(&wanted), known);
            map.customers();
            prop_assert_eq!(map.known_among(&wanted), known);
        }

        // If this fails, a customer is counted who merged away, or one who is new is not.
        #[test]
        fn customers_known_before_are_brought_up_to_date(
            then in prop::collection::vec(any::<u8>(), 0..20),
            now in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            // The same far from the beginning, behind more than is compared at once.
            for lead in [0, COMPARED_AT_ONCE - 5] {
                let led = |choices: &[u8]| map(&[vec![0; lead], choices.to_vec()].concat());
                let (then, expected) = (led(&then), led(&now));
                then.customers();
                let following = led(&now).following(&then);
                prop_assert_eq!(following.customers(), expected.customers());
                let common = 0..then.len().min(expected.len()) as u32;
                let moved = common.filter(|&one| then.customer_of(one) != expected.customer_of(one));
                prop_assert_eq!(expected.moved_since(&then), moved.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_map_that_leads_astray_is_refused() {
        assert!(IdentityMap::new(vec![1, 1]).is_err());
        assert!(IdentityMap::new(vec![0, 0, 1]).is_err());
        assert!(IdentityMap::new(vec![7]).is_err());
    }
}
