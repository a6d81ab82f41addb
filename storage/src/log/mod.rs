//! The commit log: one numbered entry per commit, and nothing else decides what the database is.
//!
//! 1. An entry is written once, with create-if-absent, as `log/<version>.json`; versions have no
//!    gaps, and entries are never deleted. So a writer that slept for a year cannot slip in below
//!    the head.
//! 2. [`commit`] makes entries; [`conflict`] decides whether a draft may stand above an entry that
//!    it did not know.
//! 3. [`replay`] turns entries into a [`Snapshot`](crate::snapshot::Snapshot). It finds the head by
//!    asking for the next version until there is none, never from a listing.
//! 4. [`checkpoint`] saves a snapshot now and then, so that opening need not read the whole log. A
//!    checkpoint that is missing or damaged costs time and nothing else.

pub mod action;
pub mod check;
pub mod checkpoint;
pub mod commit;
pub mod computation;
pub mod conflict;
pub mod entry;
pub mod replay;
