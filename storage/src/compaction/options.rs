//! What a compaction is asked and what it answers.

use std::path::PathBuf;

/// How to compact.
#[derive(Clone, Debug)]
pub struct CompactionOptions {
    /// How much memory rows may take; what does not fit is spilled.
    pub memory_bytes_max: u64,
    /// A data file should have about this many rows; a partition with more has several files,
    /// split between customers.
    pub file_rows_target: u64,
    /// Where to spill; `None` is the system's temporary folder.
    pub spill_dir: Option<PathBuf>,
    /// Which files are worth a rewrite.
    pub depth: CompactionDepth,
    /// How many partitions may be compacted at a time, if memory allows.
    pub threads: usize,
}

/// With less memory than this a partition is compacted in many small pieces: rather one at a time.
const JOB_BYTES_MIN: u64 = 128 << 20;

/// Which files a compaction rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompactionDepth {
    /// New files, with older ones only as far as those are not much larger: each row is rewritten
    /// a number of times that grows with the logarithm of the partition. For work that goes on
    /// beside a stream of small ingests.
    Tiered,
    /// Every partition that is not one sorted run yet. A second compaction finds nothing to do.
    #[default]
    Full,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 << 20,
            file_rows_target: 2 << 20,
            spill_dir: None,
            depth: CompactionDepth::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl CompactionOptions {
    /// How many partitions are compacted at a time.
    pub(super) fn jobs_at_a_time(&self) -> usize {
        let by_memory =
            usize::try_from(self.memory_bytes_max / JOB_BYTES_MIN).unwrap_or(usize::MAX);
        by_memory.min(self.threads).max(1)
    }
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionProgress {
    /// Jobs that are committed.
    pub jobs_done: u64,
    /// Jobs known so far.
    pub jobs: u64,
    /// Rows merged so far.
    pub rows_done: u64,
    /// Rows of all jobs known so far.
    pub rows: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionSummary {
    /// The last version that it made; `None` when there was nothing to do.
    pub version: Option<u64>,
    /// Jobs that were committed.
    pub jobs: u64,
    /// Jobs that were given up because another writer changed their files first.
    pub jobs_lost: u64,
    /// Data files that were removed.
    pub files_removed: u64,
    /// Data files that were added.
    pub files_added: u64,
    /// Rows that were rewritten.
    pub rows: u64,
    /// The most memory that rows took at once.
    pub memory_bytes_peak: u64,
}
