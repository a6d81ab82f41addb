//! How a person or a program asks Habitué: tables, statements, functions and optimizer rules.
//!
//! A [`Database`] is opened over a store; each [`Session`] of it runs SQL. Every query sees one
//! snapshot from its start to its end.

#[cfg(feature = "access")]
pub mod access;
mod customer_fold;
mod error;
mod events;
#[cfg(feature = "flight")]
pub mod flight;
mod functions;
mod hot;
mod ntile;
mod position;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rules;
mod segments;
mod session;
mod statements;
mod suggestion;
pub mod table_functions;
mod tables;
mod walk;

pub use error::{Error, ErrorKind, Named, Result};
pub use position::Position;
pub use session::{
    Answer, Database, DatabaseOptions, LocalFiles, Parameter, Prepared, Rights, Session,
    SessionOptions,
};
pub use statements::{Effect, split as split_statements};
