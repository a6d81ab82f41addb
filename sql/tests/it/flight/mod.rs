//! Arrow Flight SQL from outside: a real server on loopback, asked by the client of arrow-flight.

mod access;
mod cancel;
mod changes;
mod clients;
mod hostile;
mod ingest;
mod metadata;
mod prepared;
mod reading;
pub mod server;
mod sessions;
mod slt;
mod tls;
