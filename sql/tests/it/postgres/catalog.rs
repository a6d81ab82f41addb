//! What tools ask about the tables before a person asks about events.

use crate::postgres::Served;

const LIST_TABLES: &str = r#"SELECT n.nspname as "Schema",
  c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END as "Type",
  pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r','p','v','m','S','f','')
      AND n.nspname <> 'pg_catalog'
      AND n.nspname !~ '^pg_toast'
      AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2;"#;

#[tokio::test]
async fn psql_lists_the_tables() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let rows = shop.ask(LIST_TABLES).await;
    let has = |schema: &str, table: &str| {
        rows.iter().any(|row| row[0].as_deref() == Some(schema) && row[1].as_deref() == Some(table))
    };
    assert!(has("main", "events") && has("main", "customers"), "{rows:?}");
    // Without its schema it is not found, so it is listed by `\dt *.*` only.
    assert!(!has("system", "segments"), "{rows:?}");
    let everywhere = LIST_TABLES.replace("AND pg_catalog.pg_table_is_visible(c.oid)", "");
    let rows = shop.ask(&everywhere).await;
    assert!(rows.iter().any(|row| row[1].as_deref() == Some("segments")), "{rows:?}");
}

#[tokio::test]
async fn tools_learn_who_and_where_they_are() {
    let served = Served::with_users().await;
    let shop = served.connect_as("rita").await;
    for (sql, expected) in [
        ("SELECT current_schema()", "main"),
        ("SELECT current_schema", "main"),
        ("SELECT current_database()", "habitue"),
        ("SELECT current_user", "rita"),
        ("SELECT session_user", "rita"),
        ("SELECT current_setting('server_version_num')", "160006"),
        ("show transaction isolation level", "read committed"),
        ("SHOW standard_conforming_strings", "on"),
        ("select pg_catalog.version()", "PostgreSQL 16.6 (Habitué 0.1.0)"),
    ] {
        assert_eq!(shop.value(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn tools_find_columns_and_their_types() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let rows = shop
        .ask(
            "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) \
             FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'main' AND c.relname = 'events' AND a.attnum > 0 \
             ORDER BY a.attnum",
        )
        .await;
    let type_of = |name: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(name));
        row.unwrap_or_else(|| panic!("{name}: {rows:?}"))[1].clone().unwrap()
    };
    assert_eq!(type_of("event_id"), "text");
    assert_eq!(type_of("customer_id"), "bigint");
    assert_eq!(type_of("ts"), "timestamp with time zone");
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'";
    assert!(shop.ask(tables).await.len() >= 3);
}

#[tokio::test]
async fn a_table_of_the_session_is_found_too() {
    let served = Served::open().await;
    let shop = served.connect().await;
    shop.ask("CREATE TABLE mine AS SELECT 1 AS a").await;
    let named = "SELECT count(*) FROM pg_class WHERE relname = 'mine'";
    assert_eq!(shop.value(named).await, "1");
    assert_eq!(served.connect().await.value(named).await, "0");
}

#[tokio::test]
async fn columns_are_described_as_postgres_would() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let rows = shop
        .ask(
            "SELECT column_name, data_type, udt_name, is_nullable FROM information_schema.columns \
             WHERE table_schema = 'main' AND table_name = 'events' ORDER BY ordinal_position",
        )
        .await;
    let facts = |name: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(name));
        let row = row.unwrap_or_else(|| panic!("{name}: {rows:?}"));
        row[1..].iter().map(|fact| fact.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(facts("event_id"), ["text", "text", "NO"]);
    assert_eq!(facts("customer_id"), ["bigint", "int8", "YES"]);
    assert_eq!(facts("ts"), ["timestamp with time zone", "timestamptz", "NO"]);
    let keys = "SELECT count(*) FROM information_schema.table_constraints";
    assert_eq!(shop.value(keys).await, "0");
    let setting = "SELECT setting FROM pg_settings WHERE name = 'max_index_keys'";
    assert_eq!(shop.value(setting).await, "32");
}

// If this fails, a reflected table has the default or the comment of another column.
#[tokio::test]
async fn a_subquery_for_each_row_is_that_rows_own() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let rows = shop
        .ask(
            "SELECT a.attname, (SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid), \
               CASE WHEN a.attnum > 0 THEN (SELECT d.adbin FROM pg_catalog.pg_attrdef d \
                 WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END, \
               EXISTS (SELECT 1 FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid) \
             FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             WHERE c.relname = 'events' AND a.attname IN ('amount', 'event', 'ts') \
               AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1",
        )
        .await;
    let expected = [("amount", "numeric"), ("event", "text"), ("ts", "timestamptz")];
    let expected = expected.map(|(name, kind)| {
        vec![Some(name.to_owned()), Some(kind.to_owned()), None, Some("t".to_owned())]
    });
    assert_eq!(rows, expected);
}
