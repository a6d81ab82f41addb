//! What breaks: people who belong together are taken for different ones.

use super::{collect, rows, session};
use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestRunner};

#[tokio::test]
async fn numbers_texts_and_nulls_have_components() {
    let context = session(3);
    let numbers = "SELECT * FROM connected_components(\
        (SELECT * FROM (VALUES (3, 2), (2, 1), (8, 7), (9, NULL), (NULL, NULL)) AS e(a, b)), a, b) \
        ORDER BY id";
    assert_eq!(rows(&context, numbers).await, ["1 1", "2 1", "3 1", "7 7", "8 7", "9 9"]);
    let texts = "SELECT * FROM connected_components((SELECT * FROM (VALUES ('b', 'a'), ('c', 'b')) \
        AS e(x, y)), a => x, b => y) ORDER BY id";
    assert_eq!(rows(&context, texts).await, ["a a", "b a", "c a"]);
}

#[tokio::test]
async fn no_links_have_no_components() {
    let context = session(3);
    let sql = "SELECT * FROM connected_components((SELECT 1 AS a, 2 AS b WHERE false), a, b)";
    assert!(rows(&context, sql).await.is_empty());
}

/// What breaks: an answer for one group or one row holds what is another's.
#[tokio::test]
async fn each_group_and_each_window_has_components_of_its_own() {
    let context = session(3);
    let links = "(VALUES (1, 'b', 'a'), (1, 'c', 'b'), (2, 'b', 'z')) AS e(k, x, y)";
    let groups = format!(
        "SELECT k, p.id, p.component FROM (SELECT k, unnest(connected_components(x, y)) AS p \
         FROM {links} GROUP BY k) ORDER BY p.id, k"
    );
    // Behind GROUP BY k, the engine takes k for unique, also of rows that were taken apart.
    assert_eq!(rows(&context, &groups).await, ["1 a a", "1 b a", "2 b b", "1 c a", "2 z b"]);
    let windows = format!(
        "SELECT cardinality(connected_components(x, y) OVER (ORDER BY k, x)) FROM {links} \
         ORDER BY k, x"
    );
    assert_eq!(rows(&context, &windows).await, ["2", "3", "4"]);
}

#[tokio::test]
async fn texts_are_of_one_kind_however_they_are_stored() {
    let context = session(3);
    let stored = ["Utf8", "LargeUtf8", "Utf8View", "Dictionary(Int32, Utf8)"];
    for (a, b) in stored.iter().flat_map(|a| stored.map(|b| (a, b))) {
        let sql = format!(
            "SELECT id, component, arrow_typeof(id) FROM connected_components((SELECT \
             arrow_cast(x, '{a}') AS x, arrow_cast(y, '{b}') AS y FROM (VALUES ('b', 'a')) \
             AS e(x, y)), x, y) ORDER BY id"
        );
        assert_eq!(rows(&context, &sql).await, ["a a Utf8View", "b a Utf8View"], "{a} {b}");
    }
}

/// The smallest value that each value can be walked to, by walking until nothing changes.
fn slow_components(edges: &[(i64, i64)]) -> Vec<String> {
    let mut component: std::collections::BTreeMap<i64, i64> =
        edges.iter().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    loop {
        let before = component.clone();
        for (a, b) in edges {
            let smallest = component[a].min(component[b]);
            component.insert(*a, smallest);
            component.insert(*b, smallest);
        }
        if component == before {
            break;
        }
    }
    component.iter().map(|(id, component)| format!("{id} {component}")).collect()
}

#[test]
fn components_are_those_of_a_slow_model_however_they_are_partitioned() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    let edges = prop::collection::vec((-20i64..40, -20i64..40), 1..60);
    let cases = (edges, 1usize..4).prop_map(|case| case);
    let test = |(edges, partitions): (Vec<(i64, i64)>, usize)| {
        let values: Vec<_> = edges.iter().map(|(a, b)| format!("({a}, {b})")).collect();
        let answer = runtime.block_on(async {
            let context = session(partitions);
            let values = values.join(", ");
            collect(
                &context,
                &format!("CREATE TABLE e AS SELECT * FROM (VALUES {values}) AS e(a, b)"),
            )
            .await;
            rows(&context, "SELECT * FROM connected_components(e, a, b) ORDER BY id").await
        });
        assert_eq!(answer, slow_components(&edges));
        Ok(())
    };
    runner.run(&cases, test).unwrap();
}
