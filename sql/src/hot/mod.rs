//! Hot columns: decoded columns of data files, kept in memory for the next query.
//!
//! A query that reads narrow columns (times, labels, amounts, identifiers) decodes each of them
//! once; later queries of any session of the process find them here, about 20 bytes an event. Data
//! files never change, so what is kept under a file's path cannot be out of date.
//!
//! The budget is part of the memory limit: every byte is reserved in the memory pool that queries
//! use. A query that is planned asks whether there is room; one for which there is none reads
//! Parquet as it comes. When it runs it gets its [`Room`]: what was not used for the longest time
//! makes place.

mod arranged;
mod cache;
mod column;
mod decode;
mod labels;

pub(crate) use arranged::{arranged, times_in_order, times_of_all};
pub(crate) use cache::{Fit, HotColumns, ORDER, Room, Wanted};
pub(crate) use column::{ColumnKind, HotColumn};
pub(crate) use decode::{decode, decode_parts, properties_field};
pub(crate) use labels::{Codes, Labels, WantedCodes};
