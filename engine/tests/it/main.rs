//! What the engine promises, from a file to an answer.

// Clippy knows the bodies of tests only, not the functions that they share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod answers;
mod bounded_memory;
mod child;
mod cli;
mod events_in_all_formats;
mod formats_agree;
mod kill;
mod real_data;
mod rejects;
mod segment_calls;
mod select;
#[cfg(all(feature = "flight", feature = "postgres"))]
mod serve;
