//! What walks found out about the snapshots that were asked for last.

use crate::walk::arrangement::Arrangement;
use crate::walk::partitions::Spreads;
use crate::walk::runs::CustomerRuns;
use datafusion::execution::memory_pool::MemoryReservation;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What walks found out about the snapshots that were asked for last, shared by all sessions.
#[derive(Debug, Default)]
pub(crate) struct RunsCache {
    runs: Mutex<Vec<Kept<RunsKey, CustomerRuns>>>,
    arrangements: Mutex<Vec<Kept<Arc<str>, Arrangement>>>,
    days: Mutex<Vec<Kept<Arc<str>, Arrangement>>>,
    /// The names of days that would be nearly all rows: nobody looks for them twice.
    vain_days: Mutex<HashSet<Arc<str>>>,
    spreads: Spreads,
}

#[derive(Debug)]
struct Kept<K, V> {
    key: K,
    value: Arc<V>,
    /// The memory that the pool knows it takes.
    _memory: MemoryReservation,
}

/// What runs depend on: the files, who is who, and the arrangement that stands for some of the
/// files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunsKey {
    pub(crate) identity_version: u64,
    pub(crate) paths: Vec<String>,
    pub(crate) arrangement: Option<Arc<str>>,
}

/// A query of an older version must not throw out the newest one at once.
const ARRANGEMENTS_KEPT: usize = 2;
/// The days of one arrangement are several, by the labels that are asked about.
const DAYS_KEPT: usize = 8;
/// So many names of days that are not worth it.
const VAIN_DAYS_KEPT: usize = 64;
/// Each of them has runs of its own.
const RUNS_KEPT: usize = ARRANGEMENTS_KEPT + DAYS_KEPT;

impl RunsCache {
    /// Where customers belong.
    pub(crate) fn spreads(&self) -> &Spreads {
        &self.spreads
    }

    pub(crate) fn find(&self, key: &RunsKey) -> Option<Arc<CustomerRuns>> {
        find(&self.runs, |known, _| known == key)
    }

    pub(crate) fn keep(&self, key: RunsKey, runs: Arc<CustomerRuns>, memory: MemoryReservation) {
        keep(&self.runs, key, runs, memory, RUNS_KEPT);
    }

    /// An arrangement that the test likes; the one that was used last, if there are several.
    pub(crate) fn arrangement(
        &self,
        is_good: impl Fn(&Arrangement) -> bool,
    ) -> Option<Arc<Arrangement>> {
        find(&self.arrangements, |_, arrangement| is_good(arrangement))
    }

    pub(crate) fn keep_arrangement(
        &self,
        arrangement: Arc<Arrangement>,
        memory: MemoryReservation,
    ) {
        let name = arrangement.name().clone();
        keep(&self.arrangements, name, arrangement, memory, ARRANGEMENTS_KEPT);
    }

    /// The days of this name.
    pub(crate) fn days(&self, name: &str) -> Option<Arc<Arrangement>> {
        find(&self.days, |known, _| known.as_ref() == name)
    }

    /// Whether days of this name were looked for in vain.
    pub(crate) fn are_days_vain(&self, name: &str) -> bool {
        self.vain_days.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(crate) fn keep_vain_days(&self, name: Arc<str>) {
        let mut vain = self.vain_days.lock().unwrap_or_else(PoisonError::into_inner);
        if vain.len() == VAIN_DAYS_KEPT {
            vain.clear();
        }
        vain.insert(name);
    }

    pub(crate) fn keep_days(&self, days: Arc<Arrangement>, memory: MemoryReservation) {
        keep(&self.days, days.name().clone(), days, memory, DAYS_KEPT);
    }
}

type Shelf<K, V> = Mutex<Vec<Kept<K, V>>>;

fn find<K, V>(shelf: &Shelf<K, V>, is_it: impl Fn(&K, &V) -> bool) -> Option<Arc<V>> {
    let mut kept = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    let place = kept.iter().rposition(|known| is_it(&known.key, &known.value))?;
    let found = kept.remove(place);
    let value = found.value.clone();
    kept.push(found);
    Some(value)
}

fn keep<K: PartialEq, V>(
    shelf: &Shelf<K, V>,
    key: K,
    value: Arc<V>,
    memory: MemoryReservation,
    kept_max: usize,
) {
    let mut kept = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|known| known.key != key);
    if kept.len() == kept_max {
        kept.remove(0);
    }
    kept.push(Kept { key, value, _memory: memory });
}
