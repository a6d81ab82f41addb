//! The walk: events customer by customer, each customer's in order of time.
//!
//! ```text
//! CustomerAggregateExec     GROUP BY customer_id: a new group when the customer changes
//! CustomerDistinctExec      count(DISTINCT customer_id) GROUP BY …, DISTINCT customer_id, …
//! CustomerJoinExec          JOIN … ON a.customer_id = b.customer_id, both customer by customer
//! SessionizeExec            sessionize … OVER (PARTITION BY customer_id ORDER BY ts)
//!   CustomerWalkExec        rows in order of (customer_id, ts), in parallel by customer
//! ```
//!
//! 1. The [`CustomerRuns`](runs::CustomerRuns) of a snapshot say where each customer's rows lie:
//!    runs of rows in data files, found from the files' indexes and the identity map without decoding an event. They
//!    hold for any identities: a run of a customer that was merged is one more run of the
//!    other, and a group of rows that was split is taken apart row by row.
//! 2. The rows come from hot columns. Runs of one customer are put side by side; when their times
//!    overlap (late events, merged customers, files that are not compacted yet), the rows of that
//!    customer are sorted, and of nobody else.
//! 3. When most rows are wanted, the files are [arranged](arrangement::Arrangement): columns are
//!    kept in the order of the walk, so that there is nothing to look up and nothing to copy. Files
//!    that came later, and customers merged since, are walked beside it as in 2: only of these it is
//!    listed after a commit where their rows lie. A filter about labels is applied to the rows of many
//!    customers at once ([`Stretch`](stretch::Stretch)).
//! 4. A first query keeps nothing and arranges nothing: it is a walk as in 2 over the rows that it
//!    needs, which are [picked](picked) out of the files one by one.
//! 5. A customer belongs to the partition that the engine's own hash of `customer_id` says, so
//!    joins, aggregations and windows over the walk need no shuffle, and the declared order
//!    spares them the sort.
//!
//! So whatever is asked per customer is one pass with a state for one customer at a time.

mod aggregate;
mod arrangement;
mod batch;
mod cache;
mod days;
mod distinct;
mod exec;
mod files;
mod join;
mod kernel;
mod label_columns;
mod matches;
mod output;
mod owned;
mod partitions;
mod picked;
mod places;
mod plan;
mod row_test;
mod runs;
mod sample;
mod segments;
mod sessions;
mod small_hash;
mod stretch;

pub(crate) use aggregate::CustomerAggregateExec;
pub(crate) use cache::RunsCache;
pub(crate) use distinct::CustomerDistinctExec;
pub(crate) use exec::CustomerWalkExec;
pub(crate) use files::in_background;
pub(crate) use join::CustomerJoinExec;
pub(crate) use label_columns::{
    filter_of_labels, numbered_label_type, projection_of_labels, with_label_columns,
};
pub(crate) use owned::{Owners, rows_known_to_be_owned};
pub(crate) use plan::{WalkWish, arranged_rows_of, walk_plan};
pub(crate) use sessions::SessionizeExec;
