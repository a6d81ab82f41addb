//! The commit log: one numbered entry per commit, and nothing else decides what the database is.

pub mod action;
