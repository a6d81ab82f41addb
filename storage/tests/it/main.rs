//! The store from outside: commits, identities, ingest, and what happens when things go wrong.

mod compaction;
mod events;
mod identity;
mod ingest;
