//! What breaks: people who belong together are taken for different ones.

use crate::small_shop::{empty_database, error_of, rows_of, small_shop};
use arrow::util::display::array_value_to_string;
use habitue_sql::{LocalFiles, Session, SessionOptions};
use proptest::prelude::prop;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// What belongs together, if both are something.
type Link = (Option<i64>, Option<i64>);

async fn session() -> Session {
    empty_database(LocalFiles::Refused).await.session()
}

/// Each row of an answer as text, its columns parted by spaces.
async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in rows_of(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
        rows.extend((0..batch.num_rows()).map(|row| {
            let cells =
                batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
            cells.collect::<Vec<_>>().join(" ")
        }));
    }
    rows
}

#[tokio::test]
async fn numbers_texts_and_nulls_have_components() {
    let session = session().await;
    let numbers = "SELECT * FROM connected_components(\
        (SELECT * FROM (VALUES (3, 2), (2, 1), (8, 7), (9, NULL), (NULL, NULL)) AS e(a, b)), a, b) \
        ORDER BY id";
    assert_eq!(rows(&session, numbers).await, ["1 1", "2 1", "3 1", "7 7", "8 7", "9 9"]);
    let texts = "SELECT * FROM connected_components((SELECT * FROM (VALUES ('b', 'a'), ('c', 'b')) \
        AS e(x, y)), a => x, b => y) ORDER BY id";
    assert_eq!(rows(&session, texts).await, ["a a", "b a", "c a"]);
}

#[tokio::test]
async fn no_links_have_no_components() {
    let session = session().await;
    let sql = "SELECT * FROM connected_components((SELECT 1 AS a, 2 AS b WHERE false), a, b)";
    assert!(rows(&session, sql).await.is_empty());
}

#[tokio::test]
async fn texts_are_of_one_kind_however_they_are_stored() {
    let session = session().await;
    let stored = ["Utf8", "LargeUtf8", "Utf8View", "Dictionary(Int32, Utf8)"];
    for (a, b) in stored.iter().flat_map(|a| stored.map(|b| (a, b))) {
        let sql = format!(
            "SELECT id, component, arrow_typeof(id) FROM connected_components((SELECT \
             arrow_cast(x, '{a}') AS x, arrow_cast(y, '{b}') AS y FROM (VALUES ('b', 'a')) \
             AS e(x, y)), x, y) ORDER BY id"
        );
        assert_eq!(rows(&session, &sql).await, ["a a Utf8View", "b a Utf8View"], "{a} {b}");
    }
}

#[tokio::test]
async fn links_can_come_from_another_table_function() {
    let session = small_shop().await.session();
    let sql = "SELECT component FROM connected_components(\
               funnel(event = 'visit', event = 'purchase'), step, step + 7)";
    assert_eq!(rows(&session, sql).await.len(), 4);
}

#[tokio::test]
async fn components_take_no_more_memory_than_the_session_has() {
    let options = SessionOptions { memory_bytes_max: Some(4 << 20), ..Default::default() };
    let session = empty_database(LocalFiles::Refused).await.session_with(options);
    let components = |count: u32| {
        format!(
            "SELECT count(*) FROM connected_components((SELECT value AS a, value + 1 AS b FROM \
             generate_series(1, {count})), a, b)"
        )
    };
    assert_eq!(rows(&session, &components(10_000)).await, ["10001"]);
    let error = error_of(&session, &components(1_000_000)).await;
    assert!(error.contains("ConnectedComponentsExec"), "{error}");
}

/// The smallest value that each value can be walked to, by walking until nothing changes.
fn slow_components(links: &[Link]) -> Vec<String> {
    let mut component: BTreeMap<i64, i64> =
        links.iter().flat_map(|(a, b)| [*a, *b]).flatten().map(|value| (value, value)).collect();
    loop {
        let before = component.clone();
        for (a, b) in links.iter().filter_map(|(a, b)| a.as_ref().zip(b.as_ref())) {
            let smallest = component[a].min(component[b]);
            component.insert(*a, smallest);
            component.insert(*b, smallest);
        }
        if component == before {
            break;
        }
    }
    let row = |(id, component): (&i64, &i64)| format!("{id} {component}");
    component.iter().map(row).collect()
}

/// The parts of a relation, each a partition of its own.
fn relation(parts: &[Vec<Link>]) -> String {
    let text = |value: Option<i64>| value.map_or("NULL".into(), |value| value.to_string());
    let select = |part: &Vec<Link>| {
        let rows = part.iter().map(|&(a, b)| format!("({}, {})", text(a), text(b)));
        let rows = rows.collect::<Vec<_>>().join(", ");
        format!("SELECT a::BIGINT AS a, b::BIGINT AS b FROM (VALUES {rows}) AS v(a, b)")
    };
    parts.iter().map(select).collect::<Vec<_>>().join(" UNION ALL ")
}

fn components_of(relation: &str, columns: &str) -> String {
    format!("SELECT {columns} FROM connected_components(({relation}), a, b) ORDER BY id")
}

#[test]
fn components_are_those_of_a_slow_model_however_they_are_partitioned() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 48, ..Config::default() });
    let value = || prop::option::weighted(0.95, -20i64..40);
    let parts = prop::collection::vec(prop::collection::vec((value(), value()), 1..30), 1..5);
    let test = |(parts, threads): (Vec<Vec<Link>>, usize)| {
        let relation = relation(&parts);
        let answer = runtime.block_on(async {
            let session = session().await;
            let threads = format!("SET datafusion.execution.target_partitions = {threads}");
            rows(&session, &threads).await;
            // Texts that order like the numbers, and are longer than what fits into a view.
            let text = |value| format!("'somebody number ' || ({value} + 5000)");
            let texts = format!("SELECT {} AS a, {} AS b FROM ({relation})", text("a"), text("b"));
            let number = |text| format!("split_part({text}, ' ', 3)::BIGINT - 5000");
            let (id, component) = (number("id"), number("component"));
            (
                rows(&session, &components_of(&relation, "id, component")).await,
                rows(&session, &components_of(&texts, &format!("{id}, {component}"))).await,
            )
        });
        let wanted = slow_components(&parts.concat());
        assert_eq!(answer, (wanted.clone(), wanted));
        Ok(())
    };
    runner.run(&(parts, 1usize..5), test).unwrap();
}
