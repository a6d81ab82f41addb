//! How much of the machine a command may use: the options that many commands share.

use crate::cli::size::parse_size;
use habitue::EngineBuilder;
use std::num::NonZeroUsize;

/// Limits for memory and threads.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Machine {
    /// How much memory rows may take; what does not fit goes to disk [default: 60 % of the
    /// machine or its control group]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Machine")]
    memory_limit: Option<u64>,
    /// How much of it decoded columns may take that are kept for later queries; system.cache lists
    /// them [default: half]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Machine")]
    cache_limit: Option<u64>,
    /// How many threads to use [default: as many as the machine has]
    #[arg(long, value_name = "N", help_heading = "Machine")]
    threads: Option<NonZeroUsize>,
}

impl Machine {
    /// An engine's settings within these limits.
    pub(crate) fn builder(self) -> EngineBuilder {
        let mut builder = habitue::Engine::builder();
        if let Some(bytes) = self.memory_limit {
            builder = builder.memory_limit(bytes);
        }
        if let Some(bytes) = self.cache_limit {
            builder = builder.cache_limit(bytes);
        }
        if let Some(threads) = self.threads {
            builder = builder.threads(threads.get());
        }
        builder
    }
}
