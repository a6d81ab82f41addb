//! Table functions: slow obvious models, wrong calls, and known answers from real data.

mod calls;
mod cohort_retention;
mod connected_components;
mod funnel;
mod real_data;
mod rfm;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};
use habitue_sql::table_functions::register_table_functions;

/// A session with our functions, over this many partitions.
pub fn session(partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(64);
    let context = SessionContext::new_with_config(config);
    habitue_udf::register_all(&context).expect("functions");
    register_table_functions(&context).expect("table functions");
    context
}

/// A session with a table `events` (customer_id, ts, event, amount) made by this statement.
pub async fn session_with_events(rows: &str) -> SessionContext {
    let context = session(3);
    create_events(&context, rows).await;
    context
}

/// Makes the table `events` of these rows: `(1, '2024-01-01 10:00', 'visit', 9.5), …`.
pub async fn create_events(context: &SessionContext, rows: &str) {
    let create = format!(
        "CREATE OR REPLACE TABLE events AS SELECT arrow_cast(c, 'Int64') AS customer_id, \
         arrow_cast(t, 'Timestamp(Microsecond, Some(\"UTC\"))') AS ts, e AS event, \
         arrow_cast(a, 'Decimal128(18, 4)') AS amount FROM (VALUES {rows}) AS v(c, t, e, a)"
    );
    collect(context, &create).await;
}

/// The rows of an answer.
pub async fn collect(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    frame.collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"))
}

/// Each row of an answer as text, its columns parted by spaces.
pub async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in collect(context, sql).await {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("a column to show"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> =
                columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(cells.join(" "));
        }
    }
    rows
}

/// The message of a statement that must fail.
pub async fn failure(context: &SessionContext, sql: &str) -> String {
    match context.sql(sql).await {
        Err(error) => error.to_string(),
        Ok(frame) => match frame.collect().await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("succeeded: {sql}"),
        },
    }
}
