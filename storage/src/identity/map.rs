//! The dense array from identifiers to customers of one version, and its inverse.

use crate::error::{Error, Result};
use roaring::RoaringBitmap;
use std::sync::OnceLock;

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
    members: OnceLock<Members>,
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

    #[test]
    fn a_map_that_leads_astray_is_refused() {
        assert!(IdentityMap::new(vec![1, 1]).is_err());
        assert!(IdentityMap::new(vec![0, 0, 1]).is_err());
        assert!(IdentityMap::new(vec![7]).is_err());
    }
}
