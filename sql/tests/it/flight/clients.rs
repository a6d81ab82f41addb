//! What known clients ask, in their order, replayed. Breaks for a user if this fails: DBeaver,
//! Grafana or Power BI does not connect, or shows an empty tree.

use crate::flight::server::{Client, TestServer, Users, only_value, rows_of, value};
use crate::small_shop::small_shop;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow_flight::sql::*;
use arrow_flight::{Action, FlightInfo, IpcMessage};
use std::sync::Arc;

async fn connect() -> (Client, (TestServer, Users)) {
    let users = Users::new();
    let server = TestServer::closed(small_shop().await, &users).await;
    (server.client_of("reader").await, (server, users))
}

async fn answer(client: &mut Client, info: FlightInfo) -> RecordBatch {
    let schema = Arc::new(info.clone().try_decode_schema().unwrap());
    let batches = rows_of(client, info).await.unwrap();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn names(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().flatten().map(Into::into).collect()
}

/// DBeaver through the Flight JDBC driver: log in, all abilities, the tree without a catalog, then
/// each statement prepared, asked for, read and closed.
#[tokio::test]
async fn the_jdbc_driver_finds_its_way() {
    let (mut client, _server) = connect().await;
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert!(answer(&mut client, info).await.num_rows() > 80);
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(names(&answer(&mut client, info).await, "catalog_name"), ["habitue"]);
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(schemas).await.unwrap();
    assert!(names(&answer(&mut client, info).await, "db_schema_name").contains(&"main".into()));
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("main".into()),
        table_name_filter_pattern: Some("%".into()),
        table_types: vec!["TABLE".into(), "VIEW".into()],
        include_schema: false,
    };
    let info = client.get_tables(tables).await.unwrap();
    let found = names(&answer(&mut client, info).await, "table_name");
    assert_eq!(found, ["customers", "events", "identifiers"]);

    let sql = "SELECT count(*) FROM events WHERE event = ?";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    let event: ArrayRef = Arc::new(StringArray::from(vec!["purchase"]));
    prepared.set_parameters(RecordBatch::try_from_iter([("1", event)]).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(only_value(&rows_of(&mut client, info).await.unwrap()), "3");
    prepared.close().await.unwrap();

    // A statement without columns is an update to the driver, which it runs by DoPut.
    let mut prepared = client.prepare("SET habitue.as_of_version = 2".into(), None).await.unwrap();
    assert!(prepared.dataset_schema().unwrap().fields().is_empty());
    prepared.execute_update().await.unwrap();
    assert_eq!(value(&mut client, "SELECT count(*) FROM events").await, "7");
    client.do_action(Action::new("CloseSession", "")).await.unwrap();
}

/// The Grafana data source: abilities for the names of its editor, tables with their columns, then
/// the query of a panel.
#[tokio::test]
async fn the_grafana_data_source_finds_its_way() {
    let (mut client, _server) = connect().await;
    let info = client.get_sql_info(vec![]).await.unwrap();
    answer(&mut client, info).await;
    let tables = CommandGetTables { include_schema: true, ..Default::default() };
    let info = client.get_tables(tables).await.unwrap();
    let found = answer(&mut client, info).await;
    let row = names(&found, "table_name").iter().position(|name| name == "events").unwrap();
    let schemas = found.column_by_name("table_schema").unwrap().as_binary::<i32>();
    let events = Schema::try_from(IpcMessage(schemas.value(row).to_vec().into())).unwrap();
    assert!(events.field_with_name("ts").is_ok());
    let panel = "SELECT date_bin(INTERVAL '1 day', ts) AS time, count(*) AS events FROM events \
                 WHERE ts >= TIMESTAMP '2026-01-01T00:00:00Z' GROUP BY 1 ORDER BY 1";
    let info = client.execute(panel.into(), None).await.unwrap();
    assert_eq!(answer(&mut client, info).await.num_rows(), 8);
}

/// Power BI through ADBC: the types first, then the tree at every depth, then prepared statements.
#[tokio::test]
async fn power_bi_finds_its_way() {
    let (mut client, _server) = connect().await;
    let asked = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerVersion];
    let info = client.get_sql_info(asked).await.unwrap();
    assert_eq!(answer(&mut client, info).await.num_rows(), 2);
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(answer(&mut client, info).await.num_rows() > 10);
    let info = client.get_catalogs().await.unwrap();
    answer(&mut client, info).await;
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    answer(&mut client, info).await;
    for include_schema in [false, true] {
        let tables = CommandGetTables { include_schema, ..Default::default() };
        let info = client.get_tables(tables).await.unwrap();
        assert!(answer(&mut client, info).await.num_rows() > 10);
    }
    let info = client.get_table_types().await.unwrap();
    answer(&mut client, info).await;
    for column in ["event", "channel"] {
        let sql =
            format!("SELECT {column}, count(*) AS n FROM events GROUP BY {column} LIMIT 1000");
        let mut prepared = client.prepare(sql, None).await.unwrap();
        let promised = prepared.dataset_schema().unwrap().clone();
        let info = prepared.execute().await.unwrap();
        assert_eq!(promised, info.clone().try_decode_schema().unwrap());
        answer(&mut client, info).await;
        prepared.close().await.unwrap();
    }
}
