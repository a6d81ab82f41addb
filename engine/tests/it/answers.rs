//! Answers of SQL as text, for comparing.

use arrow::array::ArrayRef;
use arrow::util::display::array_value_to_string;
use habitue::{Engine, IngestRequest, IngestSummary, Input};

/// A new, empty database in memory.
pub(crate) async fn empty() -> Engine {
    Engine::builder().threads(2).open("memory://").await.unwrap()
}

/// Ingests bytes under a name whose extension tells the format.
pub(crate) async fn ingest(
    engine: &Engine,
    name: &str,
    bytes: impl Into<Vec<u8>>,
) -> IngestSummary {
    engine.ingest(request(name, bytes)).await.unwrap()
}

/// A request for bytes under a name, received at a fixed time.
pub(crate) fn request(name: &str, bytes: impl Into<Vec<u8>>) -> IngestRequest {
    let received_at = "2026-06-01T00:00:00Z".parse().unwrap();
    IngestRequest::new(Input::from_bytes(name, bytes.into())).received_at(received_at)
}

/// The rows of an answer; NULL is an empty text.
pub(crate) async fn rows(engine: &Engine, sql: &str) -> Vec<Vec<String>> {
    let batches = engine.sql_all(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| array_value_to_string(column, row).unwrap();
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    rows
}

/// The only cell of an answer.
pub(crate) async fn cell(engine: &Engine, sql: &str) -> String {
    let mut rows = rows(engine, sql).await;
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
    rows.remove(0).remove(0)
}

/// The number in the only cell of an answer.
pub(crate) async fn number(engine: &Engine, sql: &str) -> i64 {
    cell(engine, sql).await.parse().unwrap()
}

/// Everything that events say, in a fixed order.
pub(crate) async fn all_events(engine: &Engine) -> Vec<Vec<String>> {
    let sql = "SELECT event_id, ts, received_at, event, channel, source, campaign, user_id, \
               anonymous_id, amount, currency, order_id, product_id, quantity, properties, \
               customer_id FROM events ORDER BY event_id";
    rows(engine, sql).await
}
