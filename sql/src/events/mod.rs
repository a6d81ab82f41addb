//! The table `events`: data files of one snapshot, with the customer of each event.
//!
//! ```text
//! FilterExec                  the filters again: pruning only leaves out what cannot match
//!   EventScanExec             adds customer_id; says in EXPLAIN what was pruned and why
//!     DataSourceExec          the stock Parquet source over the files and rows that are left
//! ```
//!
//! Where the columns are narrow and memory allows, a [walk](crate::walk) over hot columns stands in
//! the place of the two lower nodes.

mod at;
mod exec;
mod insert;
mod label_filter;
mod member;
mod paged_reader;
mod report;
mod restriction;
mod schema;
mod selection;
mod statistics;
mod stored_columns;
mod table;

pub(crate) use at::{EVENTS_AT, EventsAt};
pub(crate) use exec::EventScanExec;
pub(crate) use insert::insert;
pub(crate) use label_filter::LabelTest;
pub(crate) use member::{JSON_AS_TEXT, StoredMember, has_few_values};
pub(crate) use report::PruningReport;
pub(crate) use schema::events_schema;
pub(crate) use table::EventsTable;
