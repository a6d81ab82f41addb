//! The store from outside: commits, identities, ingest, and what happens when things go wrong.

mod identity;
