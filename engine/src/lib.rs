//! Habitué: an embedded analytical database for customer events.
//!
//! One process, one folder or bucket. Events go in, identifiers become customers, SQL is answered:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> habitue::Result<()> {
//! use habitue::{Engine, IngestRequest, Input};
//!
//! let engine = Engine::open("memory://").await?;
//! let events = r#"
//! {"ts":"2026-03-01T09:00:00Z","event":"visit","anonymous_id":"d-1"}
//! {"ts":"2026-03-01T09:05:00Z","event":"login","anonymous_id":"d-1","user_id":"ada"}
//! {"ts":"2026-03-02T18:30:00Z","event":"purchase","user_id":"ada","amount":12.50}
//! "#;
//! let summary = engine.ingest(IngestRequest::new(Input::from_bytes("first.ndjson", events))).await?;
//! assert_eq!(summary.events_accepted, 3);
//!
//! let answer = engine
//!     .sql_all("SELECT customer_id, count(*) AS events FROM events GROUP BY customer_id")
//!     .await?;
//! println!("{}", arrow::util::pretty::pretty_format_batches(&answer)?);
//! // The visit before the login and the purchase after it are one customer's.
//! assert_eq!(answer.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
//! # Ok(()) }
//! ```

mod builder;
mod engine;
mod error;
mod formats;
mod ingest;
mod maintain;
mod resources;
#[cfg(any(feature = "flight", feature = "postgres"))]
mod serve;

pub use arrow;
pub use builder::{EngineBuilder, WhenMissing};
pub use engine::Engine;
pub use error::{Error, ErrorKind, Result};
pub use formats::{Format, Input};
pub use habitue_sql as sql;
#[cfg(any(feature = "flight", feature = "postgres"))]
pub use habitue_sql::access::{Access, ServerLimits, Shutdown, ShutdownTrigger, TlsFiles};
pub use habitue_sql::{LocalFiles, Session};
pub use habitue_storage as storage;
pub use habitue_storage::compaction::{CompactionDepth, CompactionProgress};
pub use habitue_storage::garbage::{GarbageMode, GarbageOptions, KeepVersions};
pub use habitue_storage::ingest::{DuplicateRow, IngestSummary};
pub use habitue_storage::verify::VerifyReport;
pub use ingest::{IngestProgress, IngestRequest};
pub use maintain::{MaintainRequest, MaintainSummary};
#[cfg(any(feature = "flight", feature = "postgres"))]
pub use serve::ServeRequest;

/// The program of the README runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
