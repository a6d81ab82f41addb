//! The SQL crate from outside: one binary, one module per subject.

// A test that cannot go on has failed; what a test skips, it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[cfg(any(feature = "flight", feature = "postgres"))]
mod authority;
mod customer_folds;
mod customer_walk;
mod datafusion_slt;
mod errors;
#[cfg(feature = "flight")]
mod flight;
mod limits;
mod ntile;
#[cfg(feature = "postgres")]
mod postgres;
mod prepared;
mod properties;
mod pruning;
mod reading;
mod refresh;
mod segments;
mod slt;
mod small_shop;
mod snapshots;
mod table_functions;
#[cfg(all(feature = "flight", feature = "postgres"))]
mod turns;
