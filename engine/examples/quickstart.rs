//! From a file of events to customers, segments and answers: `cargo run --example quickstart`.

use habitue::arrow::util::pretty::pretty_format_batches;
use habitue::{Engine, IngestRequest, Input};
use std::io::Write;

const EVENTS: &str = r#"
{"ts":"2026-03-01T09:00:00Z","event":"visit","anonymous_id":"phone-1","channel":"mail"}
{"ts":"2026-03-01T09:04:00Z","event":"login","anonymous_id":"phone-1","user_id":"ada"}
{"ts":"2026-03-01T09:09:00Z","event":"purchase","user_id":"ada","amount":40,"order_id":"o-1"}
{"ts":"2026-03-03T20:00:00Z","event":"visit","anonymous_id":"laptop-7","channel":"web"}
{"ts":"2026-03-03T20:02:00Z","event":"login","anonymous_id":"laptop-7","user_id":"ada"}
{"ts":"2026-03-03T20:10:00Z","event":"purchase","user_id":"ada","amount":65.50,"order_id":"o-2"}
{"ts":"2026-03-04T11:00:00Z","event":"visit","anonymous_id":"laptop-9","channel":"web"}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A path instead of memory:// keeps the database; create_if_missing() makes it.
    let engine = Engine::builder().create_if_missing().open("memory://").await?;
    let input = Input::from_bytes("shop.ndjson", EVENTS);
    let summary = engine.ingest(IngestRequest::new(input)).await?;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{} events, {} customers", summary.events_accepted, summary.customers_new)?;

    engine
        .sql_all(
            "CREATE SEGMENT loyal AS SELECT customer_id FROM events WHERE event = 'purchase' \
             GROUP BY customer_id HAVING sum(amount) > 100",
        )
        .await?;
    engine.refresh(Some("loyal")).await?;
    let answer = engine
        .sql_all(
            "SELECT event, count(*) AS events, sum(amount) AS amount FROM events \
             WHERE in_segment(customer_id, 'loyal') GROUP BY event ORDER BY event",
        )
        .await?;
    writeln!(out, "{}", pretty_format_batches(&answer)?)?;
    Ok(())
}
