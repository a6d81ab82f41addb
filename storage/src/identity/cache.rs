//! What a process keeps of identities between one call and the next.

use super::{IdentityMap, Stitcher};
use crate::dictionary::Dictionary;
use crate::log::action::{IdentityMapRef, ObjectRef};
use crate::snapshot::Snapshot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many identity maps of different versions stay in memory, the newest used last.
const MAPS_MAX: usize = 4;

/// Identity maps, the dictionary, and the stitcher of the last ingest.
#[derive(Debug, Default)]
pub(crate) struct IdentityCache {
    maps: Mutex<Vec<KnownMap>>,
    dictionary: Mutex<Dictionary>,
    parked: Mutex<Option<Parked>>,
}

/// The map of one version.
#[derive(Clone, Debug)]
struct KnownMap {
    identity_version: u64,
    reference: IdentityMapRef,
    map: Arc<IdentityMap>,
}

/// A stitcher with what it stands on.
#[derive(Debug)]
struct Parked {
    identity_version: u64,
    catalog: Option<ObjectRef>,
    stitcher: Stitcher,
}

impl IdentityCache {
    /// The map of this version, if it is there.
    pub fn map(&self, snapshot: &Snapshot) -> Option<Arc<IdentityMap>> {
        let mut maps = lock(&self.maps);
        let is_it = |known: &KnownMap| known.reference == snapshot.identity_map;
        let place = maps.iter().position(is_it)?;
        let known = maps.remove(place);
        let map = Arc::clone(&known.map);
        maps.push(known);
        Some(map)
    }

    /// An older map over the same base, with how many of the deltas of this version it stands on.
    ///
    /// The other deltas say of each identifier that changed since those what it is now. Some of
    /// these changes may be in the older map already; it does no harm to apply them again.
    pub fn map_before(&self, snapshot: &Snapshot) -> Option<(Arc<IdentityMap>, usize)> {
        let wanted = &snapshot.identity_map;
        let maps = lock(&self.maps);
        let older = maps.iter().filter(|known| {
            known.identity_version <= snapshot.identity_version
                && known.reference.base == wanted.base
                && known.reference.identifiers <= wanted.identifiers
        });
        let newest = older.max_by_key(|known| known.identity_version)?;
        let both = newest.reference.deltas.iter().zip(&wanted.deltas);
        Some((Arc::clone(&newest.map), both.take_while(|(a, b)| a == b).count()))
    }

    pub fn put_map(&self, snapshot: &Snapshot, map: &Arc<IdentityMap>) {
        let mut maps = lock(&self.maps);
        maps.retain(|known| known.reference != snapshot.identity_map);
        if maps.len() >= MAPS_MAX {
            maps.remove(0);
        }
        maps.push(KnownMap {
            identity_version: snapshot.identity_version,
            reference: snapshot.identity_map.clone(),
            map: Arc::clone(map),
        });
    }

    /// The newest dictionary that was read.
    pub fn dictionary(&self) -> Dictionary {
        lock(&self.dictionary).clone()
    }

    /// Keeps a dictionary if it is longer than the one that is there.
    pub fn put_dictionary(&self, dictionary: &Dictionary) {
        let mut kept = lock(&self.dictionary);
        if dictionary.len() > kept.len() {
            *kept = dictionary.clone();
        }
    }

    /// The parked stitcher, if it is that of this snapshot.
    pub fn take_parked(&self, snapshot: &Snapshot) -> Option<Stitcher> {
        let mut parked = lock(&self.parked);
        let fits = parked.as_ref().is_some_and(|parked| {
            parked.identity_version == snapshot.identity_version
                && parked.catalog == snapshot.catalog
        });
        if fits { parked.take().map(|parked| parked.stitcher) } else { None }
    }

    pub fn park(&self, stitcher: Stitcher, snapshot: &Snapshot) {
        *lock(&self.parked) = Some(Parked {
            identity_version: snapshot.identity_version,
            catalog: snapshot.catalog.clone(),
            stitcher,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
