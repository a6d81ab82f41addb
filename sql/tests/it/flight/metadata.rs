//! Catalogs, schemas, tables, types and abilities. Breaks for a user if this fails: the tree of the
//! BI tool is empty, or it does not connect at all.

use crate::flight::server::{Client, TestServer, rows, rows_of};
use crate::small_shop::small_shop;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Schema, UInt32Type};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo, XdbcDataType,
};
use arrow_flight::{FlightInfo, IpcMessage};
use std::collections::BTreeSet;
use std::sync::Arc;

async fn connect() -> (Client, TestServer) {
    let server = TestServer::open(small_shop().await).await;
    (server.client().await, server)
}

async fn answer(client: &mut Client, info: FlightInfo) -> RecordBatch {
    let schema = Arc::new(info.clone().try_decode_schema().unwrap());
    let batches = rows_of(client, info).await.unwrap();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap().to_owned()).collect()
}

fn tables(schema: Option<&str>, table: Option<&str>, types: &[&str]) -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: schema.map(Into::into),
        table_name_filter_pattern: table.map(Into::into),
        table_types: types.iter().map(|name| (*name).to_owned()).collect(),
        include_schema: false,
    }
}

#[tokio::test]
async fn the_tree_of_the_catalog_is_complete_without_a_filter() {
    let (mut client, _server) = connect().await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(texts(&answer(&mut client, info).await, "catalog_name"), ["habitue"]);
    let all = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(all).await.unwrap();
    let schemas = texts(&answer(&mut client, info).await, "db_schema_name");
    assert_eq!(schemas, ["information_schema", "main", "system"]);
    let info = client.get_tables(tables(None, None, &[])).await.unwrap();
    let names = texts(&answer(&mut client, info).await, "table_name");
    for table in ["events", "customers", "identifiers", "segments", "tables"] {
        assert!(names.contains(&table.to_owned()), "{table} is missing in {names:?}");
    }
}

#[tokio::test]
async fn patterns_and_types_narrow_the_tables() {
    let (mut client, _server) = connect().await;
    let cases: [(CommandGetTables, &[&str]); 6] = [
        (tables(Some("main"), None, &[]), &["customers", "events", "identifiers"]),
        (tables(Some("ma%"), Some("e_ents"), &[]), &["events"]),
        (tables(Some("main"), None, &["TABLE"]), &["events", "identifiers"]),
        (tables(Some("main"), None, &["BASE TABLE"]), &["events", "identifiers"]),
        (tables(Some("main"), None, &["VIEW"]), &["customers"]),
        (tables(Some("main"), None, &["SYNONYM"]), &[]),
    ];
    for (command, expected) in cases {
        let info = client.get_tables(command.clone()).await.unwrap();
        assert_eq!(texts(&answer(&mut client, info).await, "table_name"), expected, "{command:?}");
    }
    for (catalog, count) in [("habitue", 3), ("", 0), ("other", 0)] {
        let mut command = tables(Some("main"), None, &[]);
        command.catalog = Some(catalog.into());
        let info = client.get_tables(command).await.unwrap();
        assert_eq!(answer(&mut client, info).await.num_rows(), count, "catalog '{catalog}'");
    }
}

#[tokio::test]
async fn every_listed_table_has_the_columns_that_it_is_said_to_have() {
    let (mut client, _server) = connect().await;
    let command = CommandGetTables { include_schema: true, ..tables(None, None, &[]) };
    let info = client.get_tables(command).await.unwrap();
    let found = answer(&mut client, info).await;
    let schemas = found.column_by_name("table_schema").unwrap().as_binary::<i32>();
    let places = texts(&found, "db_schema_name").into_iter().zip(texts(&found, "table_name"));
    for (row, (schema, table)) in places.enumerate() {
        let message = IpcMessage(schemas.value(row).to_vec().into());
        let told = Schema::try_from(message).unwrap();
        let sql = format!("SELECT * FROM {schema}.{table} LIMIT 0");
        let info = client.execute(sql.clone(), None).await.unwrap();
        let seen = info.try_decode_schema().unwrap();
        let columns = |schema: &Schema| {
            let fields = schema.fields().iter();
            fields.map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
        };
        assert_eq!(columns(&told), columns(&seen), "{sql}");
        let first = told.field(0).metadata();
        assert_eq!(first["ARROW:FLIGHT:SQL:TABLE_NAME"], table);
    }
}

#[tokio::test]
async fn temporary_tables_are_listed_for_their_session_alone() {
    let (mut client, server) = connect().await;
    rows(&mut client, "CREATE TABLE mine AS SELECT 1 AS a").await.unwrap();
    let mine = tables(None, Some("mine"), &[]);
    let info = client.get_tables(mine.clone()).await.unwrap();
    assert_eq!(answer(&mut client, info).await.num_rows(), 1);
    let mut other = server.client().await;
    let info = other.get_tables(mine).await.unwrap();
    assert_eq!(answer(&mut other, info).await.num_rows(), 0);
}

#[tokio::test]
async fn table_types_are_those_of_the_tables() {
    let (mut client, _server) = connect().await;
    let info = client.get_table_types().await.unwrap();
    assert_eq!(texts(&answer(&mut client, info).await, "table_type"), ["BASE TABLE", "VIEW"]);
}

#[tokio::test]
async fn one_question_without_a_filter_tells_every_ability() {
    let (mut client, _server) = connect().await;
    let info = client.get_sql_info(vec![]).await.unwrap();
    let told = answer(&mut client, info).await;
    let names = told.column(0).as_primitive::<UInt32Type>();
    let told: BTreeSet<i32> = names.values().iter().map(|name| *name as i32).collect();
    let known: BTreeSet<i32> =
        (0..1000).filter(|number| SqlInfo::try_from(*number).is_ok()).collect();
    assert_eq!(told, known);
    assert_eq!(told.len(), 91);
}

#[tokio::test]
async fn a_question_for_one_ability_is_answered_with_it_alone() {
    let (mut client, _server) = connect().await;
    let asked = vec![SqlInfo::FlightSqlServerName, SqlInfo::SqlTransactionsSupported];
    let info = client.get_sql_info(asked).await.unwrap();
    let told = answer(&mut client, info).await;
    assert_eq!(told.num_rows(), 2);
    let values = told.column(1).as_union();
    assert_eq!(values.value(0).as_string::<i32>().value(0), "Habitué");
    assert!(!values.value(1).as_boolean().value(0));
}

#[tokio::test]
async fn power_bi_gets_its_types() {
    let (mut client, _server) = connect().await;
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    let all = answer(&mut client, info).await;
    let numbers = all.column_by_name("data_type").unwrap().as_primitive::<Int32Type>();
    assert!(numbers.values().is_sorted());
    let varchar = Some(XdbcDataType::XdbcVarchar as i32);
    let one = CommandGetXdbcTypeInfo { data_type: varchar };
    let info = client.get_xdbc_type_info(one).await.unwrap();
    assert_eq!(texts(&answer(&mut client, info).await, "type_name"), ["VARCHAR"]);
}

#[tokio::test]
async fn keys_are_empty_but_typed() {
    let (mut client, _server) = connect().await;
    let table = "events".to_owned();
    let primary = CommandGetPrimaryKeys { table: table.clone(), ..Default::default() };
    let exported = CommandGetExportedKeys { table: table.clone(), ..Default::default() };
    let imported = CommandGetImportedKeys { table: table.clone(), ..Default::default() };
    let cross =
        CommandGetCrossReference { pk_table: table.clone(), fk_table: table, ..Default::default() };
    let infos = [
        (client.get_primary_keys(primary).await.unwrap(), 6),
        (client.get_exported_keys(exported).await.unwrap(), 13),
        (client.get_imported_keys(imported).await.unwrap(), 13),
        (client.get_cross_reference(cross).await.unwrap(), 13),
    ];
    for (info, columns) in infos {
        let schema = info.clone().try_decode_schema().unwrap();
        assert_eq!(schema.fields().len(), columns);
        let batches = rows_of(&mut client, info).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    }
}
