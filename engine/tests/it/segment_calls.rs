//! A file of Segment calls of all kinds becomes events, identities and traits.

use crate::answers::{cell, empty, ingest, number, rows};

const CALLS: &str = r#"{"type":"page","messageId":"1","timestamp":"2026-01-01T10:00:00Z","anonymousId":"anon-1","name":"Home","properties":{"url":"/"}}
{"type":"track","messageId":"2","timestamp":"2026-01-01T10:01:00Z","anonymousId":"anon-1","event":"Product Added","properties":{"product_id":"p1","value":"abc"}}
{"type":"identify","messageId":"3","timestamp":"2026-01-01T10:02:00Z","anonymousId":"anon-1","userId":"u1","traits":{"email":"Ada@Example.com","plan":"pro"},"context":{"ip":"203.0.113.7"},"integrations":{"All":true}}
{"type":"track","messageId":"4","timestamp":"2026-01-01T10:03:00Z","userId":"u1","event":"Order Completed","properties":{"revenue":25.5,"currency":"EUR","order_id":"o1"},"context":{"campaign":{"name":"spring"}}}
{"type":"screen","messageId":"5","timestamp":"2026-01-02T10:00:00Z","anonymousId":"anon-2","name":"Start"}
{"type":"alias","messageId":"6","timestamp":"2026-01-02T10:01:00Z","previousId":"anon-2","userId":"u1"}
{"type":"group","messageId":"7","timestamp":"2026-01-02T10:02:00Z","userId":"u1","groupId":"g1","traits":{"industry":"toys"}}
{"type":"track","messageId":"4","timestamp":"2026-01-01T10:03:00Z","userId":"u1","event":"Order Completed","properties":{"revenue":25.5}}
{"type":"delete","messageId":"8","timestamp":"2026-01-02T10:02:00Z","userId":"u1"}
"#;

// Somebody who moves from a customer data platform would lose people or money.
#[tokio::test]
async fn all_kinds_of_calls_become_events_of_one_customer() {
    let engine = empty().await;
    let summary = ingest(&engine, "calls.json", CALLS).await;
    assert_eq!((summary.events_accepted, summary.duplicates, summary.rejected), (7, 1, 1));
    let events = rows(&engine, "SELECT event FROM events ORDER BY event_id").await;
    let events: Vec<_> = events.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(
        events,
        ["$page", "Product Added", "$identify", "Order Completed", "$screen", "$alias", "$group"]
    );
    assert_eq!(number(&engine, "SELECT count(DISTINCT customer_id) FROM events").await, 1);
    assert_eq!(cell(&engine, "SELECT sum(amount) FROM events").await, "25.5000");
    let traits = cell(&engine, "SELECT traits FROM customers").await;
    assert_eq!(traits, r#"{"email":"Ada@Example.com","plan":"pro"}"#);
    let order = "SELECT campaign FROM events WHERE order_id = 'o1'";
    assert_eq!(cell(&engine, order).await, "spring");
    let reason = cell(&engine, "SELECT reason FROM system.rejected_events").await;
    assert!(reason.contains("\"delete\""), "{reason}");
}
