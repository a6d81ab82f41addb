//! The members of one segment version, as the customers of a snapshot.

use crate::error::Result;
use crate::session::Pinned;
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::SegmentVersion;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Who is in a segment.
#[derive(Debug)]
pub(crate) struct Members {
    today: Arc<RoaringBitmap>,
}

impl Members {
    /// Members that are customers of the snapshot already.
    pub(crate) fn new(today: RoaringBitmap) -> Self {
        Self { today: Arc::new(today) }
    }

    /// The same without a copy.
    pub(crate) fn shared(today: Arc<RoaringBitmap>) -> Self {
        Self { today }
    }

    /// Reads a version's members and translates them to the customers of the snapshot.
    pub(crate) async fn load(pinned: &Pinned, version: &SegmentVersion) -> Result<Self> {
        let stored = pinned.store().segment_bitmap(&version.members).await?;
        if pinned.snapshot().identity_version <= version.computed_at {
            return Ok(Self { today: stored });
        }
        Ok(Self::new(customers_today(&stored, pinned.identities())))
    }

    /// The members as customers of the snapshot.
    pub(crate) fn today(&self) -> &RoaringBitmap {
        &self.today
    }
}

/// Customers merge and split after a segment was computed. A customer's number is the identifier
/// with the smallest number in it, so that the map says whose it is in the snapshot.
pub(crate) fn customers_today(stored: &RoaringBitmap, identities: &IdentityMap) -> RoaringBitmap {
    let map = identities.as_slice();
    stored.iter().map(|old| map.get(old as usize).copied().unwrap_or(old)).collect()
}
