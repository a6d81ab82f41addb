//! An inner join of two plans whose rows come customer by customer: both are read once, side by side,
//! without a hash table.
//!
//! Of the left side the rows are held that have the customers of the batch of the right side which is at
//! hand. Rows without a customer have no match, and come last.

use crate::walk::matches::{MatchCursor, Matches};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{SortOptions, concat_batches, filter, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Joins rows that are sorted by a whole number, such as `customer_id`.
#[derive(Clone, Debug)]
pub(crate) struct CustomerJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    /// The places of the keys.
    keys: (usize, usize),
    filter: Option<JoinFilter>,
    /// Where the columns of the answer come from.
    columns: Vec<ColumnIndex>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CustomerJoinExec {
    /// The same as this join of the engine, when both its inputs are sorted by the only key.
    pub(crate) fn instead_of(join: &HashJoinExec) -> Option<Self> {
        let [(left_key, right_key)] = join.on() else {
            return None;
        };
        let (left, right) = (join.left().clone(), join.right().clone());
        let keys = (key_of(&left, left_key)?, key_of(&right, right_key)?);
        let partitions = [&left, &right].map(|side| side.output_partitioning().partition_count());
        let is_plain = *join.join_type() == JoinType::Inner
            && *join.partition_mode() == PartitionMode::Partitioned
            && join.null_equality() == NullEquality::NullEqualsNothing
            && join.fetch().is_none()
            && partitions[0] == partitions[1];
        if !is_plain {
            return None;
        }
        let place = |index: usize| match index.checked_sub(left.schema().fields().len()) {
            Some(index) => ColumnIndex { index, side: JoinSide::Right },
            None => ColumnIndex { index, side: JoinSide::Left },
        };
        let columns = match &join.projection {
            Some(projection) => projection.iter().map(|&index| place(index)).collect(),
            None => (0..join.join_schema().fields().len()).map(place).collect(),
        };
        Some(Self {
            left,
            right,
            keys,
            filter: join.filter().cloned(),
            columns,
            properties: join.properties().clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// The place of a key that the rows of a plan are sorted by, first of all.
fn key_of(input: &Arc<dyn ExecutionPlan>, key: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let order = input.output_ordering()?.first();
    let is_sorted = order.expr.eq(key)
        && order.options == SortOptions { descending: false, nulls_first: false };
    let is_number = key.data_type(&input.schema()).ok()? == DataType::Int64;
    let place = key.downcast_ref::<Column>().map(Column::index);
    place.filter(|_| is_sorted && is_number)
}

impl DisplayAs for CustomerJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = (self.left.schema(), self.right.schema());
        let (left, right) = (left.field(self.keys.0).name(), right.field(self.keys.1).name());
        write!(f, "CustomerJoinExec: on=[{left} = {right}]")?;
        match &self.filter {
            Some(filter) => write!(f, ", filter={}", filter.expression()),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CustomerJoinExec {
    fn name(&self) -> &str {
        "CustomerJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        let key = |side: &Arc<dyn ExecutionPlan>, place: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(side.schema().field(place).name(), place))
        };
        let keys = [key(&self.left, self.keys.0), key(&self.right, self.keys.1)];
        keys.map(|key| Distribution::KeyPartitioned(vec![key])).into()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [left, right] = <[_; 2]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("CustomerJoinExec has two children".into()))?;
        Ok(Arc::new(Self { left, right, ..self.as_ref().clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output_rows = metrics.output_rows().clone();
        let consumer = MemoryConsumer::new(format!("CustomerJoinExec[{partition}]"));
        let joining = Joining {
            left: Side::new(self.left.execute(partition, context.clone())?, self.keys.0),
            right: Side::new(self.right.execute(partition, context.clone())?, self.keys.1),
            held: RecordBatch::new_empty(self.left.schema()),
            at_hand: None,
            filter: self.filter.clone(),
            columns: self.columns.clone(),
            schema: self.schema(),
            rows_max: context.session_config().batch_size(),
            reservation: consumer.register(context.memory_pool()),
        };
        let rows = stream::try_unfold(joining, move |mut joining| {
            let (metrics, output_rows) = (metrics.intermediate(), output_rows.clone());
            async move {
                loop {
                    if joining.at_hand.is_none() && !joining.next_right().await? {
                        return Ok(None);
                    }
                    let _timer = metrics.elapsed_compute().timer();
                    let batch = joining.matched()?;
                    if batch.num_rows() > 0 {
                        output_rows.add(batch.num_rows());
                        return Ok(Some((batch, joining)));
                    }
                    // A filter that nothing passes: the thread is given back all the same.
                    tokio::task::coop::consume_budget().await;
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A join of one partition on its way.
struct Joining {
    left: Side,
    right: Side,
    /// The rows of the left side that may still have a match.
    held: RecordBatch,
    /// The batch of the right side that is at hand, and how far it is matched.
    at_hand: Option<(RecordBatch, MatchCursor)>,
    filter: Option<JoinFilter>,
    columns: Vec<ColumnIndex>,
    schema: SchemaRef,
    rows_max: usize,
    reservation: MemoryReservation,
}

impl Joining {
    /// Takes the next batch of the right side, and of the left side all rows that may match;
    /// `false` at the end.
    async fn next_right(&mut self) -> Result<bool> {
        let Some(batch) = self.right.next().await? else {
            return Ok(false);
        };
        let keys = self.right.keys(&batch);
        let (first, last) = (keys[0], keys[keys.len() - 1]);
        let passed = self.left.keys(&self.held).partition_point(|&key| key < first);
        let mut held = vec![self.held.slice(passed, self.held.num_rows() - passed)];
        while self.left.last.is_none_or(|key| key <= last) {
            let Some(more) = self.left.next().await? else {
                break;
            };
            let passed = self.left.keys(&more).partition_point(|&key| key < first);
            held.push(more.slice(passed, more.num_rows() - passed));
        }
        held.retain(|rows| rows.num_rows() > 0);
        self.held = match held.as_slice() {
            [rows] => rows.clone(),
            held => concat_batches(&self.left.schema, held)?,
        };
        let bytes = self.held.get_array_memory_size() + batch.get_array_memory_size();
        self.reservation.try_resize(bytes)?;
        self.at_hand = Some((batch, MatchCursor::default()));
        Ok(true)
    }

    /// The next matches of the batch at hand.
    fn matched(&mut self) -> Result<RecordBatch> {
        let Some((batch, mut cursor)) = self.at_hand.take() else {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        };
        let keys = self.right.keys(&batch);
        let mut matches = Matches::default();
        matches.find(self.left.keys(&self.held), keys, &mut cursor, self.rows_max);
        let has_more = cursor.right < keys.len();
        let (mut left, mut right) =
            (UInt32Array::from(matches.left), UInt32Array::from(matches.right));
        if let Some(condition) = &self.filter {
            let columns = self.picked(condition.column_indices(), &batch, &left, &right)?;
            let rows = rows_of(condition.schema(), columns, left.len())?;
            let passes = condition.expression().evaluate(&rows)?.into_array(left.len())?;
            left = filter(&left, passes.as_boolean())?.as_primitive().clone();
            right = filter(&right, passes.as_boolean())?.as_primitive().clone();
        }
        let columns = self.picked(&self.columns, &batch, &left, &right)?;
        let joined = rows_of(&self.schema, columns, left.len())?;
        self.at_hand = has_more.then_some((batch, cursor));
        Ok(joined)
    }

    /// These columns of the matches.
    fn picked(
        &self,
        columns: &[ColumnIndex],
        batch: &RecordBatch,
        left: &UInt32Array,
        right: &UInt32Array,
    ) -> Result<Vec<ArrayRef>> {
        let pick = |column: &ColumnIndex| match column.side {
            JoinSide::Left => Ok(take(self.held.column(column.index), left, None)?),
            JoinSide::Right => Ok(take(batch.column(column.index), right, None)?),
            JoinSide::None => Err(DataFusionError::Internal("a join of marks".into())),
        };
        columns.iter().map(pick).collect()
    }
}

fn rows_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// One input of a join.
struct Side {
    rows: SendableRecordBatchStream,
    schema: SchemaRef,
    /// The place of the key.
    key: usize,
    /// The last key so far.
    last: Option<i64>,
    is_at_end: bool,
}

impl Side {
    fn new(rows: SendableRecordBatchStream, key: usize) -> Self {
        Self { schema: rows.schema(), rows, key, last: None, is_at_end: false }
    }

    /// The next rows that have a key, at least one.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.is_at_end {
            let Some(batch) = self.rows.try_next().await? else {
                break;
            };
            // Rows without a key come last.
            let with_key = batch.num_rows() - batch.column(self.key).null_count();
            self.is_at_end = with_key < batch.num_rows();
            let batch = batch.slice(0, with_key);
            let keys = self.keys(&batch);
            let Some(&first) = keys.first() else {
                continue;
            };
            if !keys.is_sorted() || self.last.is_some_and(|last| last > first) {
                let reason = "the rows of a join by customer do not come in their order";
                return Err(DataFusionError::Internal(reason.into()));
            }
            self.last = keys.last().copied();
            return Ok(Some(batch));
        }
        self.is_at_end = true;
        Ok(None)
    }

    fn keys<'a>(&self, rows: &'a RecordBatch) -> &'a [i64] {
        rows.column(self.key).as_primitive::<Int64Type>().values()
    }
}
