//! The store from outside: commits, identities, ingest, and what happens when things go wrong. One
//! binary, so that it is linked once.
//!
//! To add tests: make a file `storage/tests/it/<topic>.rs`, and add `mod <topic>;` here. For a
//! bucket that breaks on demand see [`fault_store`]; for a clock and UUIDs that repeat exactly see
//! [`clockwork`]; for small real objects and commits of every kind see [`workload`]; for rows of
//! events see [`events`].

#![allow(clippy::unwrap_used, clippy::panic)] // A test that cannot go on has failed.

mod clockwork;
mod commit;
mod compaction;
mod concurrency;
mod corruption;
mod durability;
mod events;
mod fault_store;
mod faults;
mod garbage;
mod identity;
mod ingest;
mod ingest_faults;
mod laws;
mod opening;
mod segments;
mod workload;
