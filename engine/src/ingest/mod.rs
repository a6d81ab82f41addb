//! From a file to one commit: read, map with a SELECT if asked, hand to the store, commit.

mod input_table;
mod progress;
mod request;
mod run;

pub use progress::IngestProgress;
pub use request::IngestRequest;

pub(crate) use run::run;
