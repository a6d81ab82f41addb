//! How much memory a merge holds, and the most that it ever held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts bytes that are held. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    held: AtomicU64,
    peak: AtomicU64,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: u64,
    counts: Arc<Counts>,
}

impl Memory {
    /// Begins to hold so many bytes.
    pub(super) fn hold(&self, bytes: usize) -> Held {
        let mut held = Held { bytes: 0, counts: Arc::clone(&self.counts) };
        held.resize(bytes);
        held
    }

    /// The most bytes that were held at once.
    pub(super) fn peak(&self) -> u64 {
        self.counts.peak.load(Ordering::Relaxed)
    }
}

impl Held {
    /// How many.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Holds more or less from here on.
    pub(super) fn resize(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.counts.held.fetch_add(bytes, Ordering::Relaxed);
        let held = self.counts.held.fetch_sub(self.bytes, Ordering::Relaxed) - self.bytes;
        self.counts.peak.fetch_max(held, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counts.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
