//! The same rows laid out in many ways, and what SQL answers to each.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext, col};
use tokio::runtime::Runtime;

/// A row of the table `rows (g, ts, c1, c2, c3, c4)`.
#[derive(Clone, Debug)]
pub struct Row {
    pub group: i64,
    pub ts: Option<i64>,
    pub conditions: u32,
    pub null_conditions: u32,
}

impl Row {
    pub fn true_conditions(&self) -> u32 {
        self.conditions & !self.null_conditions
    }

    fn condition(&self, index: u32) -> Option<bool> {
        let bit = 1 << index;
        (self.null_conditions & bit == 0).then_some(self.conditions & bit != 0)
    }
}

/// How rows are cut up, and what the engine may do with them.
struct Layout {
    partitions: usize,
    batch_size: usize,
    sorted_by_group: bool,
    skip_partial_aggregation: bool,
}

const fn layout(partitions: usize, batch_size: usize) -> Layout {
    Layout { partitions, batch_size, sorted_by_group: false, skip_partial_aggregation: false }
}

const LAYOUTS: [Layout; 6] = [
    layout(1, 8192),
    layout(1, 1),
    layout(8, 3),
    layout(8, 8192),
    Layout { sorted_by_group: true, ..layout(1, 2) },
    Layout { skip_partial_aggregation: true, ..layout(4, 1) },
];

/// One session for each layout.
pub struct Sessions {
    runtime: Runtime,
    contexts: Vec<(Layout, SessionContext)>,
}

impl Sessions {
    pub fn new() -> Self {
        let contexts = LAYOUTS.into_iter().map(|layout| {
            let context = context(&layout);
            (layout, context)
        });
        Self { runtime: Runtime::new().unwrap(), contexts: contexts.collect() }
    }

    /// The answers to a query over `rows`, one per layout.
    pub fn answers(&self, sql: &str, rows: &[Row], shuffle: u64) -> Vec<Vec<String>> {
        let rows = shuffled(rows, shuffle);
        let run = |(layout, context): &(Layout, SessionContext)| {
            context.deregister_table("rows").unwrap();
            context.register_table("rows", Arc::new(table(&rows, layout))).unwrap();
            self.runtime.block_on(answer(sql, context))
        };
        self.contexts.iter().map(run).collect()
    }

    /// The single row that a query without a table answers.
    pub fn one(&self, sql: &str) -> String {
        let rows = self.runtime.block_on(answer(sql, &self.contexts[0].1));
        assert_eq!(rows.len(), 1, "{sql}");
        rows.concat()
    }
}

fn shuffled(rows: &[Row], mut state: u64) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for last in (1..rows.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        rows.swap(last, (state >> 33) as usize % (last + 1));
    }
    rows
}

fn context(layout: &Layout) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(layout.partitions)
        .with_batch_size(layout.batch_size);
    if layout.skip_partial_aggregation {
        let options = &mut config.options_mut().execution;
        options.skip_partial_aggregation_probe_rows_threshold = 0;
        options.skip_partial_aggregation_probe_ratio_threshold = 0.0;
    }
    let context = SessionContext::new_with_config(config);
    habitue_udf::register_all(&context).unwrap();
    context
}

async fn answer(sql: &str, context: &SessionContext) -> Vec<String> {
    let plan = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let batches = plan.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    batches.iter().flat_map(printed).collect()
}

fn table(rows: &[Row], layout: &Layout) -> MemTable {
    let mut rows = rows.to_vec();
    if layout.sorted_by_group {
        rows.sort_by_key(|row| row.group);
    }
    let number = |name| Field::new(name, DataType::Int64, true);
    let flag = |name| Field::new(name, DataType::Boolean, true);
    let conditions = ["c1", "c2", "c3", "c4"].map(flag);
    let fields = [number("g"), number("ts")].into_iter().chain(conditions);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut partitions = vec![Vec::new(); layout.partitions];
    for (index, chunk) in rows.chunks(layout.batch_size).enumerate() {
        let condition = |index| -> ArrayRef {
            Arc::new(chunk.iter().map(|row| row.condition(index)).collect::<BooleanArray>())
        };
        let groups: Int64Array = chunk.iter().map(|row| Some(row.group)).collect();
        let ts: Int64Array = chunk.iter().map(|row| row.ts).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(groups), Arc::new(ts)];
        columns.extend((0..4).map(condition));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        partitions[index % layout.partitions].push(batch);
    }
    let table = MemTable::try_new(schema, partitions).unwrap();
    if layout.sorted_by_group {
        return table.with_sort_order(vec![vec![col("g").sort(true, true)]]);
    }
    table
}

fn printed(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default();
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>();
    (0..batch.num_rows()).map(|index| row(index).join(" ")).collect()
}
