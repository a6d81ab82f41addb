//! The writer's state of identities: it numbers identifiers, collects links, and finds customers.

use crate::error::{Error, Result};
use arrow::array::{StringArray, TimestampMicrosecondArray, UInt32Array};
use roaring::RoaringBitmap;

/// The writer's state: dictionary, links and components. Loaded from a snapshot, advanced in place.
///
/// The order of calls for one commit: [`Stitcher::observe`] for each batch, [`Stitcher::resolve`],
/// `write(&store, &changes)`, whose actions go into the commit, and once that is committed
/// `park(store, &snapshot)`, which keeps the state for the next ingest of this process. After a
/// conflict: load a new one from the newer snapshot, [`Stitcher::rebase`] it on the old one, rewrite
/// the files with the [`Remap`], and go on with [`Stitcher::resolve`].
#[derive(Debug)]
pub struct Stitcher {}

/// What the observed batches change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityChanges {
    /// How many identifiers are new.
    pub identifiers_new: u32,
    /// How many pairs of identifiers are linked for the first time.
    pub links_new: u64,
    /// How many known pairs turned out to be linked earlier than known.
    pub links_earlier: u64,
    /// Identifiers whose customer changes, with their new customer, ascending; a new identifier
    /// that is a customer of its own is not listed.
    pub moved: Vec<(u32, u32)>,
    /// The customers who gain or lose identifiers, by their numbers before and after.
    pub customers_changed: RoaringBitmap,
    /// Customers after less customers before.
    pub customers_new: i64,
}

/// From the numbers that a stitcher gave to new identifiers to those that they get after another
/// writer committed first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remap {
    first: u32,
    numbers: Vec<u32>,
}

impl Remap {
    /// The number that stands now for what was `identifier`.
    pub fn apply(&self, identifier: u32) -> u32 {
        match identifier.checked_sub(self.first) {
            Some(place) => self
                .numbers
                .get(place as usize)
                .copied()
                .unwrap_or(identifier),
            None => identifier,
        }
    }

    /// Whether all numbers stay, so that no file has to be rewritten.
    pub fn is_identity(&self) -> bool {
        (self.first..)
            .zip(&self.numbers)
            .all(|(old, &new)| old == new)
    }
}

impl Stitcher {
    /// Numbers the identifiers of a batch and collects the links between them. `columns` are the
    /// text columns as they came, with the numbers of their namespaces. Answers the own identifier
    /// of each row, NULL for rows without identifiers.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the columns have different lengths or name an unknown namespace;
    /// [`Error::Exhausted`] when there are no numbers left.
    pub fn observe(
        &mut self,
        _columns: &[(u16, &StringArray)],
        _ts: &TimestampMicrosecondArray,
        _event_id: &StringArray,
    ) -> Result<UInt32Array> {
        Err(Error::Internal("identities are not built yet".into()))
    }

    /// What all batches observed since the last commit change.
    ///
    /// # Errors
    /// [`Error::Internal`] when the state contradicts itself.
    pub fn resolve(&mut self) -> Result<IdentityChanges> {
        Err(Error::Internal("identities are not built yet".into()))
    }

    /// Takes over what `old` observed and could not commit. `self` is freshly loaded.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when there are no numbers left.
    pub fn rebase(&mut self, _old: &Self) -> Result<Remap> {
        Err(Error::Internal("identities are not built yet".into()))
    }
}
