//! The SQL crate from outside: one binary, one module per subject.

mod errors;
mod pruning;
mod reading;
mod segments;
mod slt;
mod small_shop;
mod snapshots;
mod table_functions;
