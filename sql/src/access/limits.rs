//! What the connections of a server may cost.

use crate::access::Principal;
use crate::session::{LocalFiles, SessionOptions, Turns};
use std::time::Duration;

/// Limits that a server holds its connections to; each server of a process counts its connections
/// for itself.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// So many connections at a time; further ones are refused.
    pub connections_max: usize,
    /// A session that has asked nothing for so long is ended.
    pub session_idle_max: Duration,
    /// A statement that takes longer ends with an error.
    pub statement_time_max: Option<Duration>,
    /// The statements of a session together hold no more memory than this.
    pub session_memory_bytes_max: Option<usize>,
    /// A query that answers more rows ends with an error.
    pub rows_max: Option<u64>,
    /// How many statements run at a time; further ones wait. Clones of these limits share them, so
    /// servers that get clones wait for each other.
    pub turns: Turns,
    /// Whether administrators may read and write files of the server.
    pub local_files: LocalFiles,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 100,
            session_idle_max: Duration::from_secs(30 * 60),
            statement_time_max: Some(Duration::from_secs(10 * 60)),
            session_memory_bytes_max: None,
            rows_max: None,
            turns: Turns::new(32, threads().max(2)),
            local_files: LocalFiles::Refused,
        }
    }
}

impl ServerLimits {
    /// The session of `principal` within these limits.
    pub fn session_options(&self, principal: &Principal) -> SessionOptions {
        SessionOptions {
            rights: principal.role.rights(self.local_files),
            memory_bytes_max: self.session_memory_bytes_max,
            statement_time_max: self.statement_time_max,
            rows_max: self.rows_max,
            turns: Some(self.turns.clone()),
        }
    }
}

/// How many threads compute.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
