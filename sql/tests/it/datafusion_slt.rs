//! The engine's own SQL tests, through a session. Breaks for a user if this fails: plain SQL answers
//! something else here than it does in DataFusion.
//!
//! The files are not in this repository. They come with the crate `datafusion-sqllogictest` of the
//! engine's version; `sql/tests/datafusion_slt` fetches it and runs this test:
//!
//! - `HABITUE_DATAFUSION_SLT` names their folder, `test_files` of that crate; without it nothing runs.
//! - `HABITUE_DATAFUSION_SLT_ALL=1` runs all files and tells what is not in the list below, and why.

use crate::small_shop::empty_database;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use futures::FutureExt;
use habitue_sql::{Error, LocalFiles, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Record, Runner};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Files of which every record must pass. Not chosen are files
/// - about plans (`EXPLAIN`): ours have other rules, names and numbers of partitions in them;
/// - about files, formats and catalogs of the engine: a session has none of these;
/// - in which a word means something of ours, or with functions of the test program itself.
const CHOSEN: [&str; 87] = [
    "aggregate_any_value.slt",
    "alias.slt",
    "array/array_all.slt",
    "array/array_any_value.slt",
    "array/array_append.slt",
    "array/array_distinct.slt",
    "array/array_empty.slt",
    "array/array_except.slt",
    "array/array_index.slt",
    "array/array_literal.slt",
    "array/array_operators.slt",
    "array/array_pop.slt",
    "array/array_prepend.slt",
    "array/array_remove.slt",
    "array/array_replace.slt",
    "array/array_to_string.slt",
    "array/cardinality.slt",
    "array/make_array.slt",
    "array/string_to_array.slt",
    "array_add.slt",
    "array_agg_sliding_window.slt",
    "array_avg.slt",
    "array_normalize.slt",
    "array_product.slt",
    "array_query.slt",
    "array_scale.slt",
    "array_subtract.slt",
    "array_sum.slt",
    "arrow_try_cast.slt",
    "binary_view.slt",
    "cast.slt",
    "cast_to_type.slt",
    "coalesce.slt",
    "cosine_distance.slt",
    "cse.slt",
    "date_bin_errors.slt",
    "datetime/arith_date_date.slt",
    "datetime/arith_date_integer.slt",
    "datetime/arith_date_time.slt",
    "datetime/arith_interval_double.slt",
    "datetime/arith_interval_interval.slt",
    "datetime/arith_negate_interval.slt",
    "datetime/arith_time_interval.slt",
    "datetime/arith_time_time.slt",
    "datetime/arith_timestamp_duration.slt",
    "datetime/arith_timestamp_interval.slt",
    "datetime/current_date_timezone.slt",
    "datetime/current_time_timezone.slt",
    "dml_delete.slt",
    "eliminate_outer_join.slt",
    "first_last_nested.slt",
    "float16.slt",
    "floor_preimage.slt",
    "functional_dependencies.slt",
    "imdb.slt",
    "in_list.slt",
    "inner_product.slt",
    "issue_17138.slt",
    "join_limit_pushdown.slt",
    "join_lists.slt",
    "limit_single_row_batches.slt",
    "list_view.slt",
    "min_max/fixed_size_list.slt",
    "min_max/large_list.slt",
    "min_max/list.slt",
    "misc.slt",
    "negative_zero.slt",
    "nvl2.slt",
    "operator.slt",
    "options.slt",
    "pg_compat/pg_compat_type_coercion.slt",
    "pg_compat/pg_compat_types.slt",
    "pipe_operator.slt",
    "propagate_empty_relation_outer_join.slt",
    "push_down_filter_outer_joins.slt",
    "push_down_topk_through_join.slt",
    "regexp/regexp_count.slt",
    "regexp/regexp_replace.slt",
    "run_end_encoded.slt",
    "same_column_name_cross_join.slt",
    "simplify_expr.slt",
    "simplify_predicates.slt",
    "sort_merge_join.slt",
    "string/concat.slt",
    "strings.slt",
    "to_timestamp_timezone.slt",
    "truncate.slt",
];

const STACK_BYTES: usize = 64 << 20;

/// A session as the engine's tests see it.
struct Connection(Session);

#[async_trait]
impl AsyncDB for Connection {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let batches = self.0.run(sql).await?.collect().await?;
        let fields = batches.first().map_or(0, RecordBatch::num_columns);
        let rows: Vec<Vec<String>> = batches.iter().flat_map(rows).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; fields], rows })
    }

    async fn shutdown(&mut self) {}
}

/// Rows as the engine's tests write them.
fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let rows = (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>());
    rows.flat_map(expanded).collect()
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".into();
    }
    match column.data_type() {
        DataType::Float16 | DataType::Float32 => {
            let text = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
            number(&text.value(row).to_string())
        }
        DataType::Float64 => number(&column.as_primitive::<Float64Type>().value(row).to_string()),
        decimal if decimal.is_decimal() => {
            let text = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
            without_zeros(&text.value(row).to_string())
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(column, &DataType::Utf8).unwrap();
            match text.as_string::<i32>().value(row) {
                "" => "(empty)".into(),
                text => text.trim_end_matches('\n').replace('\0', "\\0"),
            }
        }
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            cell(dictionary.values(), dictionary.normalized_keys()[row])
        }
        _ => {
            let options = FormatOptions::default().with_null("NULL");
            ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string()
        }
    }
}

/// A number with at most twelve digits after its point.
fn number(text: &str) -> String {
    let value: f64 = match text {
        "inf" => return "Infinity".into(),
        "-inf" => return "-Infinity".into(),
        text => text.parse().unwrap(),
    };
    if value.is_nan() {
        return "NaN".into();
    }
    // As few digits as tell the number from others; those after the twelfth are rounded away.
    let text = if text.contains(['e', 'E']) { value.to_string() } else { text.to_owned() };
    let after_point = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    without_zeros(&if after_point > 12 { format!("{value:.12}") } else { text })
}

fn without_zeros(text: &str) -> String {
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    };
    if text == "-0" { "0".into() } else { text.to_owned() }
}

/// A last cell of several lines, such as a plan, is a row for each of them.
fn expanded(mut row: Vec<String>) -> Vec<Vec<String>> {
    let Some(cell) = row.pop_if(|cell| cell.contains('\n')) else { return vec![row] };
    let lines = cell.split('\n').enumerate().map(|(place, line)| {
        let content = line.trim_start();
        let dashes = "-".repeat(line.len() - content.len());
        vec![format!("{:02}){dashes}{content}", place + 1)]
    });
    std::iter::once(row).chain(lines).collect()
}

#[expect(clippy::ptr_arg, reason = "the runner wants this type")]
fn trimmed(text: &String) -> String {
    text.trim_end().to_owned()
}

/// How many records of a file ran, and what those said that failed.
async fn outcome(file: &Path) -> (usize, Vec<String>) {
    let session = empty_database(LocalFiles::Refused).await.session();
    let mut runner = Runner::new(|| {
        let connection = Connection(session.clone());
        async { Ok(connection) }
    });
    runner.with_normalizer(trimmed);
    let records = match sqllogictest::parse_file::<DefaultColumnType>(file) {
        Ok(records) => records,
        Err(error) => return (0, vec![error.to_string()]),
    };
    let (mut count, mut failures) = (0, Vec::new());
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        count += usize::from(matches!(record, Record::Query { .. } | Record::Statement { .. }));
        match AssertUnwindSafe(runner.run_async(record)).catch_unwind().await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failures.push(error.display(false).to_string()),
            Err(_) => failures.push("a panic".into()),
        }
    }
    (count, failures)
}

/// All test files below a folder, by their path in it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "slt") {
                let name = path.strip_prefix(folder).unwrap();
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn plain_sql_answers_as_in_the_engine() {
    // Some files nest deeply, and a debug build takes much of the stack for it.
    let work = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run_files);
    work.unwrap().join().unwrap();
}

fn run_files() {
    let Some(folder) = std::env::var_os("HABITUE_DATAFUSION_SLT").map(PathBuf::from) else {
        println!("left out: HABITUE_DATAFUSION_SLT does not name the engine's test files");
        return;
    };
    let all = std::env::var_os("HABITUE_DATAFUSION_SLT_ALL").is_some();
    let only = std::env::var("SLT").unwrap_or_default();
    let chosen = CHOSEN.iter().map(|name| (*name).to_owned());
    let names = if all { files(&folder) } else { chosen.collect() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .unwrap();
    let (mut records, mut broken) = (0, Vec::new());
    for name in names.iter().filter(|name| name.contains(&only)) {
        let (count, failures) = runtime.block_on(outcome(&folder.join(name)));
        records += count;
        let first: String =
            failures.first().map(|text| text.replace('\n', " ")).unwrap_or_default();
        println!("{name}: {count} records, {} failed {:.200}", failures.len(), first);
        if !failures.is_empty() && CHOSEN.contains(&name.as_str()) {
            broken.push(format!("{name}:\n{}", failures.join("\n")));
        }
    }
    println!("{} files, {records} records", names.len());
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}
