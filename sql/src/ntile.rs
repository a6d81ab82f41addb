//! `ntile(n) OVER (ORDER BY …)` of all rows without sorting them: parts of equal size are told by the
//! rows at their borders.
//!
//! The engine sorts all columns of all rows for each such window, one window after the other. Here
//! rows stay as they come, and get a column more. They are all held until the last has come, in
//! memory that is reserved; unlike a sort this does not spill.

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{
    EvaluationType, SchedulingType, replace_children_if_necessary,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, SendableRecordBatchStream,
};
use datafusion::scalar::ScalarValue;
use futures::{TryStreamExt, stream};
use habitue_udf::ntile::ntiles;
use std::fmt;
use std::sync::Arc;

/// Adds to all rows their parts in one order.
#[derive(Clone, Debug)]
pub(crate) struct NtileExec {
    input: Arc<dyn ExecutionPlan>,
    order: LexOrdering,
    /// How many parts, for each column that is added.
    parts: Vec<u64>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl NtileExec {
    /// The same as this window over sorted rows, but for the order of its answer.
    pub(crate) fn instead_of(window: &WindowAggExec) -> Option<Self> {
        let functions = window.window_expr();
        let order = functions.first()?.order_by();
        let is_whole = functions
            .iter()
            .all(|window| window.partition_by().is_empty() && window.order_by() == order);
        if !is_whole {
            return None;
        }
        let parts = functions.iter().map(|window| parts_of(window.as_any().downcast_ref()?));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(window.schema()),
            Partitioning::UnknownPartitioning(1),
            window.properties().emission_type,
            window.properties().boundedness,
        );
        Some(Self {
            input: without_sort(window.input())?,
            order: LexOrdering::new(order.iter().cloned())?,
            parts: parts.collect::<Option<_>>()?,
            properties: Arc::new(
                properties
                    .with_evaluation_type(EvaluationType::Eager)
                    .with_scheduling_type(SchedulingType::Cooperative),
            ),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// How many parts this function makes, if it is `ntile` of a number that makes sense.
fn parts_of(window: &StandardWindowExpr) -> Option<u64> {
    let function: &WindowUDFExpr = window.get_standard_func_expr().as_any().downcast_ref()?;
    let [parts] = function.args() else {
        return None;
    };
    let parts = parts.downcast_ref::<Literal>()?.value();
    let ScalarValue::UInt64(Some(parts)) = parts.cast_to(&DataType::UInt64).ok()? else {
        return None;
    };
    (function.fun().name() == "ntile" && parts > 0).then_some(parts)
}

/// The rows of an input without their sort into one partition; `None` when nothing sorts them.
fn without_sort(input: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if input.is::<ProjectionExec>() {
        let below = without_sort(input.children().first()?)?;
        return replace_children_if_necessary(input.clone(), vec![below]).ok();
    }
    let merge = input.downcast_ref::<SortPreservingMergeExec>();
    let sorted = match merge {
        Some(merge) if merge.fetch().is_none() => merge.input(),
        Some(_) => return None,
        None => input,
    };
    let sort = sorted.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none())?;
    let below = sort.input();
    let gathered = below.downcast_ref::<CoalescePartitionsExec>();
    let gathered = gathered.filter(|gathered| gathered.fetch().is_none());
    Some(gathered.map_or(below, |gathered| gathered.input()).clone())
}

impl DisplayAs for NtileExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtileExec: parts={:?}, order=[{}]", self.parts, self.order)
    }
}

impl ExecutionPlan for NtileExec {
    fn name(&self) -> &str {
        "NtileExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut next = TreeNodeRecursion::Continue;
        for order in &self.order {
            next = next.visit_sibling(|| visit(&order.expr))?;
        }
        Ok(next)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("NtileExec has one child".into()))?;
        Ok(Arc::new(Self { input, ..self.as_ref().clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let this = self.clone();
        let rows = async move {
            let held = MemoryConsumer::new("NtileExec").register(context.memory_pool());
            let batches = collected(&this.input, &context, &held).await?;
            let _timer = metrics.elapsed_compute().timer();
            let batches = this.with_parts(batches, &held)?;
            metrics.record_output(batches.iter().map(RecordBatch::num_rows).sum());
            let batches = batches.into_iter().map(move |batch| {
                let _held = &held;
                Ok(batch)
            });
            Ok::<_, DataFusionError>(stream::iter(batches))
        };
        let rows = stream::once(rows).try_flatten();
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// All rows, in the order of the partitions, which are read at the same time.
async fn collected(
    input: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    held: &MemoryReservation,
) -> Result<Vec<RecordBatch>> {
    let mut reading = JoinSet::new();
    for partition in 0..input.output_partitioning().partition_count() {
        let mut rows = input.execute(partition, context.clone())?;
        let held = held.new_empty();
        reading.spawn(async move {
            let mut batches = Vec::new();
            while let Some(batch) = rows.try_next().await? {
                held.try_grow(get_record_batch_memory_size(&batch))?;
                batches.push(batch);
            }
            Ok::<_, DataFusionError>((partition, batches, held))
        });
    }
    let mut partitions = Vec::new();
    while let Some(read) = reading.join_next().await {
        let (partition, batches, bytes) =
            read.map_err(|error| DataFusionError::External(error.into()))??;
        held.grow(bytes.free());
        partitions.push((partition, batches));
    }
    partitions.sort_by_key(|&(partition, _)| partition);
    Ok(partitions.into_iter().flat_map(|(_, batches)| batches).collect())
}

/// A row by what it is compared with: the first bytes of its key, then the key itself.
struct KeyedRow {
    first_bytes: u128,
    row: usize,
}

impl NtileExec {
    fn with_parts(
        &self,
        batches: Vec<RecordBatch>,
        held: &MemoryReservation,
    ) -> Result<Vec<RecordBatch>> {
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let keys = self.keys(&batches, count)?;
        held.try_grow(keys.size() + count * (size_of::<KeyedRow>() + 8 * self.parts.len()))?;
        let mut rows: Vec<KeyedRow> =
            (0..count).map(|row| KeyedRow { first_bytes: first_bytes(&keys, row), row }).collect();
        let compare = |left: &KeyedRow, right: &KeyedRow| {
            let by_key = || keys.row(left.row).cmp(&keys.row(right.row));
            left.first_bytes
                .cmp(&right.first_bytes)
                .then_with(by_key)
                .then(left.row.cmp(&right.row))
        };
        let columns: Vec<UInt64Array> = self
            .parts
            .iter()
            .map(|&parts| {
                let mut part_of = vec![0; count];
                ntiles(&mut rows, parts, compare, |keyed, part| part_of[keyed.row] = part);
                part_of.into()
            })
            .collect();
        let mut begin = 0;
        let with_parts = batches.into_iter().map(|batch| {
            let (_, mut all, rows) = batch.into_parts();
            let parts = columns.iter().map(|parts| Arc::new(parts.slice(begin, rows)) as ArrayRef);
            all.extend(parts);
            begin += rows;
            Ok(RecordBatch::try_new(self.schema(), all)?)
        });
        with_parts.collect()
    }

    /// What all rows are ordered by, as bytes that compare like it.
    fn keys(&self, batches: &[RecordBatch], count: usize) -> Result<Rows> {
        let schema = self.input.schema();
        let fields = self.order.iter().map(|order| {
            let data_type = order.expr.data_type(&schema)?;
            Ok(SortField::new_with_options(data_type, order.options))
        });
        let converter = RowConverter::new(fields.collect::<Result<_>>()?)?;
        let mut keys = converter.empty_rows(count, 0);
        for batch in batches {
            let evaluated = self
                .order
                .iter()
                .map(|order| order.expr.evaluate(batch)?.into_array(batch.num_rows()));
            converter.append(&mut keys, &evaluated.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(keys)
    }
}

/// The first bytes of a key, which decide most comparisons.
fn first_bytes(keys: &Rows, row: usize) -> u128 {
    let key = keys.row(row);
    let key = key.as_ref();
    let mut bytes = [0; 16];
    let known = key.len().min(bytes.len());
    bytes[..known].copy_from_slice(&key[..known]);
    u128::from_be_bytes(bytes)
}
