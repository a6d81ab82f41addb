//! The Postgres protocol: psql, JDBC, psycopg and the BI tools that speak it.
//!
//! 1. [`serve`] takes connections, so many at a time (`server`).
//! 2. TLS is negotiated, and the client proves who it is with SCRAM-SHA-256 or a certificate
//!    (`startup`).
//! 3. A connection owns a [`Session`](crate::Session) with the rights and limits of its principal
//!    (`connection`), and reads messages: texts (`simple`) or prepared statements (`extended`).
//! 4. A text is a command to the server itself (`command`: `BEGIN`, `SET`, …), or a statement of the
//!    session. Questions about Postgres's own catalog are first brought to our dialect (`dialect`,
//!    `information`, `subqueries`, `nothing`), and answered from the tables and functions of
//!    `catalog`.
//! 5. Rows are written as they are computed (`rows`), until the client cancels, hangs up, or has
//!    what it asked for (`interruption`).
//!
//! Each statement stands for itself: `BEGIN` and `COMMIT` are accepted because clients send them,
//! and `ROLLBACK` says so when there is something that it cannot take back.

mod cancel;
mod catalog;
mod command;
mod connection;
mod dialect;
mod extended;
mod failure;
mod functions;
mod information;
mod interruption;
mod nothing;
mod parameters;
mod procedures;
mod rows;
mod server;
mod settings;
mod simple;
mod split;
mod startup;
mod statement;
mod subqueries;
mod unnamed;

pub use server::serve;
