//! The recipes of `docs/ingest.md` on real data give the published answers.
//!
//! The data lie in `HABITUE_REAL_DATA` or in `../shared/data` beside the repository; without them
//! the tests say so and pass.

use crate::answers::{empty, number, rows};
use habitue::{Engine, Format, IngestRequest};
use std::path::{Path, PathBuf};

fn real_data(file: &str) -> Option<PathBuf> {
    let beside =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../shared/data");
    let folder = std::env::var_os("HABITUE_REAL_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(file);
    if !path.exists() {
        println!("skipped: no real data at {}", path.display());
        return None;
    }
    Some(path)
}

/// The SQL of the recipe under this heading of the guide.
fn recipe(heading: &str) -> &'static str {
    let guide = include_str!("../../docs/ingest.md");
    let (_, section) = guide.split_once(&format!("### {heading}\n")).unwrap();
    let (_, code) = section.split_once("```sql\n").unwrap();
    code.split_once("```").unwrap().0
}

/// Ingests the file by its recipe, checks that the same again adds nothing, and counts the events.
async fn ingest(heading: &str, file: &str, format: Option<Format>, events: u64) -> Option<Engine> {
    let path = real_data(file)?;
    let engine = empty().await;
    for expected in [(events, 0), (0, events)] {
        let mut request = IngestRequest::new(path.as_path()).select(recipe(heading));
        if let Some(format) = format {
            request = request.format(format);
        }
        let summary = engine.ingest(request).await.unwrap();
        let counts = (summary.events_accepted, summary.duplicates);
        assert_eq!((counts, summary.rejected), (expected, 0), "{heading}");
    }
    Some(engine)
}

async fn numbers(engine: &Engine, sql: &str) -> Vec<i64> {
    let rows = rows(engine, sql).await;
    rows.iter().map(|row| row[0].parse().unwrap()).collect()
}

#[tokio::test]
async fn cdnow_gives_its_cohorts_and_repeat_buyers() {
    let file = "cdnow/CDNOW_master.txt";
    let lines = Some(Format::Lines);
    let Some(engine) = ingest("White space (CDNOW)", file, lines, 69_659).await else {
        return;
    };
    let cohorts = "SELECT count(*) FROM (SELECT customer_id, date_trunc('month', min(ts)) AS month \
                   FROM events GROUP BY customer_id) GROUP BY month ORDER BY month";
    assert_eq!(numbers(&engine, cohorts).await, [7_846, 8_476, 7_248]);
    let repeat = |what: &str| {
        format!(
            "SELECT count(*) FROM (SELECT customer_id FROM events GROUP BY customer_id \
             HAVING count({what}) > 1)"
        )
    };
    assert_eq!(number(&engine, &repeat("*")).await, 11_662);
    assert_eq!(number(&engine, &repeat("DISTINCT ts")).await, 11_516);
}

#[tokio::test]
async fn online_retail_gives_its_cohorts() {
    let file = "onlineretail/online_retail.parquet";
    let Some(engine) = ingest("Parquet (Online Retail)", file, None, 541_909).await else {
        return;
    };
    let cohort = |condition: &str| {
        format!(
            "WITH own AS (SELECT customer_id, date_trunc('month', ts) AS month FROM events \
             WHERE customer_id IS NOT NULL AND {condition}), \
             first AS (SELECT customer_id, min(month) AS first FROM own GROUP BY customer_id) \
             SELECT count(DISTINCT own.customer_id) FROM own JOIN first USING (customer_id) \
             WHERE first = TIMESTAMP '2010-12-01' GROUP BY month ORDER BY month"
        )
    };
    let all = [948, 362, 317, 367, 341, 376, 360, 336, 336, 374, 354, 474, 260];
    assert_eq!(numbers(&engine, &cohort("true")).await, all);
    let clean = [885, 324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445, 235];
    assert_eq!(numbers(&engine, &cohort("amount > 0")).await, clean);
}

#[tokio::test]
async fn the_clickstream_gives_its_sessions_and_funnels() {
    let file = "ecommerce_clickstream/ecom.csv.gz";
    let Some(engine) = ingest("CSV (clickstream)", file, None, 31_106).await else {
        return;
    };
    let sessions = "SELECT count(*) FROM (SELECT DISTINCT customer_id, session FROM (\
                    SELECT customer_id, sessionize(ts, INTERVAL '30 minutes') OVER \
                    (PARTITION BY customer_id ORDER BY ts) AS session FROM events))";
    assert_eq!(number(&engine, sessions).await, 3_605);
    let funnel = |window: &str| {
        format!(
            "WITH depths AS (SELECT window_funnel(INTERVAL '{window}', ts, event = 'home', \
             event = 'product_view', event = 'add_to_cart', event = 'purchase') AS depth \
             FROM events GROUP BY customer_id) \
             SELECT count(*) FROM depths JOIN (VALUES (1), (2), (3), (4)) AS steps(step) \
             ON depth >= step GROUP BY step ORDER BY step"
        )
    };
    assert_eq!(numbers(&engine, &funnel("10000 days")).await, [586, 581, 480, 247]);
    assert_eq!(numbers(&engine, &funnel("1 hour")).await, [586, 558, 305, 93]);
}

#[tokio::test]
async fn orders_and_nested_sessions_are_all_there() {
    let file = "orders_rfm/rfm_data_orders.csv";
    if let Some(engine) = ingest("CSV (orders)", file, None, 4_906).await {
        let people = "SELECT count(DISTINCT customer_id) FROM events";
        assert_eq!(number(&engine, people).await, 995);
    }
    if let Some(engine) = ingest("Nested JSON (OTTO)", "otto/train.jsonl", None, 862).await {
        let sessions = "SELECT count(DISTINCT anonymous_id) FROM events";
        assert_eq!(number(&engine, sessions).await, 20);
    }
}
