//! Runs every file of `tests/slt`, each on a small shop of its own. Breaks for a user if this fails:
//! a SQL word answers something else than its page says.

use crate::small_shop::small_shop;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use habitue_sql::{Database, Error, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use std::path::PathBuf;

/// A session as the runner of sqllogictest sees it.
struct Connection(Session);

#[async_trait]
impl AsyncDB for Connection {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        Ok(answered(&self.0.run(sql).await?.collect().await?))
    }

    async fn shutdown(&mut self) {}
}

/// Rows as the runner compares them.
pub fn answered(batches: &[RecordBatch]) -> DBOutput<DefaultColumnType> {
    let fields = batches.first().map(RecordBatch::schema);
    let fields = fields.iter().flat_map(|schema| schema.fields());
    let types = fields.map(|field| column_type(field.data_type())).collect();
    DBOutput::Rows { types, rows: batches.iter().flat_map(rows).collect() }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DefaultColumnType::Text,
        integer if integer.is_integer() => DefaultColumnType::Integer,
        number if number.is_numeric() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    }
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let columns = columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap());
    let columns = columns.collect::<Vec<_>>();
    let text = |column: &ArrayFormatter<'_>, row| match column.value(row).to_string() {
        empty if empty.is_empty() => "(empty)".to_owned(),
        text => text,
    };
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| text(column, row)).collect())
        .collect()
}

/// Runs every file over a connection of its own to a small shop of its own; the environment
/// variable `SLT` chooses those with a part of its name.
pub async fn every_file<C, F>(connect: impl Fn(Database) -> F)
where
    C: AsyncDB<ColumnType = DefaultColumnType>,
    F: Future<Output = C>,
{
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/slt");
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut failures = Vec::new();
    let only = std::env::var("SLT").unwrap_or_default();
    for file in files.by_ref().filter(|file| file.extension().is_some_and(|end| end == "slt")) {
        if !file.to_string_lossy().contains(&only) {
            continue;
        }
        let shop = small_shop().await;
        let mut runner = Runner::new(|| {
            let connecting = connect(shop.clone());
            async { Ok(connecting.await) }
        });
        if let Err(error) = runner.run_file_async(&file).await {
            failures.push(format!("{error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sql_word_answers_as_its_file_says() {
    every_file(|database| async move { Connection(database.session()) }).await;
}
