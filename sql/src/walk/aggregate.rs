//! `GROUP BY customer_id` over rows that come customer by customer: no hash, no table of groups.
//!
//! A group begins when the customer changes and ends when the next one begins, so the states of a
//! few thousand groups are held at a time, whatever the number of customers. Any aggregate of the
//! engine that works on numbered groups can be used.

use crate::walk::kernel::{GroupedRows, Kernel, KernelKind};
use crate::walk::owned::{OwnedRows, owned_rows};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One call of an aggregate function, and which rows count.
#[derive(Clone, Debug)]
pub(crate) struct CountedAggregate {
    pub(crate) function: Arc<AggregateFunctionExpr>,
    pub(crate) arguments: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    pub(super) kernel: KernelKind,
}

/// Aggregates rows that are sorted by a whole number, such as `customer_id`.
#[derive(Clone, Debug)]
pub(crate) struct CustomerAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    key: Arc<dyn PhysicalExpr>,
    key_name: String,
    aggregates: Vec<CountedAggregate>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CustomerAggregateExec {
    /// The same as this aggregation of the engine, when its input is sorted by its only key and
    /// all its functions work on numbered groups.
    pub(crate) fn instead_of(aggregation: &AggregateExec) -> Option<Self> {
        let is_whole =
            matches!(aggregation.mode(), AggregateMode::Single | AggregateMode::SinglePartitioned);
        let is_sorted = *aggregation.input_order_mode() == InputOrderMode::Sorted;
        let groups = aggregation.group_expr();
        let [(key, key_name)] = groups.expr() else {
            return None;
        };
        let input = aggregation.input().clone();
        let is_number = key.data_type(&input.schema()).ok()? == DataType::Int64;
        let is_limited = aggregation.limit_options().is_some();
        if !is_whole || !is_sorted || !groups.is_single() || is_limited || !is_number {
            return None;
        }
        let functions = aggregation.aggr_expr().iter().zip(aggregation.filter_expr());
        let aggregates = functions.map(|(function, filter)| {
            let is_plain =
                function.order_bys().is_empty() && function.groups_accumulator_supported();
            is_plain.then(|| {
                Some(CountedAggregate {
                    function: function.clone(),
                    arguments: function.expressions(),
                    filter: filter.clone(),
                    kernel: KernelKind::of(function, key, &input).ok()?,
                })
            })?
        });
        let aggregates = aggregates.collect::<Option<_>>()?;
        Some(Self {
            input,
            key: key.clone(),
            key_name: key_name.clone(),
            aggregates,
            properties: aggregation.properties().clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    pub(crate) fn key(&self) -> &Arc<dyn PhysicalExpr> {
        &self.key
    }

    pub(crate) fn aggregates(&self) -> &[CountedAggregate] {
        &self.aggregates
    }

    /// The same over an input with other columns.
    pub(crate) fn over(
        &self,
        input: Arc<dyn ExecutionPlan>,
        key: Arc<dyn PhysicalExpr>,
        aggregates: Vec<CountedAggregate>,
    ) -> Self {
        Self { input, key, aggregates, ..self.clone() }
    }
}

impl DisplayAs for CustomerAggregateExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.aggregates.iter().map(|aggregate| {
            let call = aggregate.function.human_display();
            call.unwrap_or_else(|| aggregate.function.name()).to_owned()
        });
        let calls = calls.collect::<Vec<_>>().join(", ");
        write!(f, "CustomerAggregateExec: gby=[{}], aggr=[{calls}]", self.key_name)
    }
}

impl ExecutionPlan for CustomerAggregateExec {
    fn name(&self) -> &str {
        "CustomerAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::KeyPartitioned(vec![self.key.clone()])]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, ..self.as_ref().clone() })),
            _ => Err(DataFusionError::Internal("CustomerAggregateExec has one child".into())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = metrics.output_rows().clone();
        let groups_max = context.session_config().batch_size();
        let consumer = MemoryConsumer::new(format!("CustomerAggregateExec[{partition}]"));
        let reservation = consumer.register(context.memory_pool());
        let groups = Groups::new(self, reservation)?;
        let reads = self.aggregates.iter();
        let reads = reads.flat_map(|aggregate| aggregate.arguments.iter().chain(&aggregate.filter));
        let input = owned_rows(&self.input, &self.key, reads, partition, context)?;
        let schema = self.schema();
        let given = schema.clone();
        let stream = stream::try_unfold(Some((input, groups)), move |state| {
            let (schema, metrics) = (given.clone(), metrics.intermediate());
            async move {
                let Some((mut input, mut groups)) = state else {
                    return Ok(None);
                };
                while let Some(rows) = input.next().await.transpose()? {
                    let _timer = metrics.elapsed_compute().timer();
                    groups.add(&rows)?;
                    if groups.closed() >= groups_max {
                        let batch = groups.emit(&schema, groups.closed())?;
                        return Ok(Some((batch, Some((input, groups)))));
                    }
                }
                let _timer = metrics.elapsed_compute().timer();
                let batch = groups.emit_all(&schema)?;
                Ok(Some((batch, None)))
            }
        });
        // As the engine's own: whoever gets an answer without rows gets no batch.
        let stream = stream.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        let stream = stream.inspect_ok(move |batch: &RecordBatch| {
            rows.add(batch.num_rows());
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The groups that were not given yet; the last one may go on.
struct Groups {
    keys: Vec<Option<i64>>,
    aggregates: Vec<(CountedAggregate, Kernel)>,
    reservation: MemoryReservation,
    /// The rows of a batch by group.
    ranges: Vec<Range<usize>>,
    /// The group of each row of a batch, where somebody asks for it.
    places: Vec<usize>,
}

impl Groups {
    fn new(plan: &CustomerAggregateExec, reservation: MemoryReservation) -> Result<Self> {
        let started = |aggregate: &CountedAggregate| {
            let kernel = aggregate.kernel.start(&aggregate.function)?;
            Ok((aggregate.clone(), kernel))
        };
        let aggregates = plan.aggregates.iter().map(started).collect::<Result<_>>()?;
        let (keys, ranges, places) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { keys, aggregates, reservation, ranges, places })
    }

    fn closed(&self) -> usize {
        self.keys.len().saturating_sub(1)
    }

    fn add(&mut self, rows: &OwnedRows) -> Result<()> {
        let continues = self.place(&rows.owners);
        let batch = &rows.batch;
        let rows = GroupedRows {
            ranges: &self.ranges,
            continues,
            places: &self.places,
            groups: self.keys.len(),
        };
        let mut bytes = self.keys.capacity() * size_of::<Option<i64>>();
        for (aggregate, kernel) in &mut self.aggregates {
            let values = aggregate.arguments.iter().filter(|_| aggregate.kernel.needs_values());
            let values = values.map(|value| value.evaluate(batch)?.into_array(batch.num_rows()));
            let values = values.collect::<Result<Vec<_>>>()?;
            let filter = aggregate.filter.as_ref();
            let filter = filter.map(|filter| truths(filter.as_ref(), batch)).transpose()?;
            kernel.add(&values, filter.as_ref(), &rows)?;
            bytes += kernel.size();
        }
        self.reservation.try_resize(bytes)
    }

    /// Finds the rows of each group; whether the first ones go on with the group before.
    fn place(&mut self, owners: &[(Option<i64>, usize)]) -> bool {
        let known = self.keys.len();
        let continues = owners.first().is_some_and(|(first, _)| self.keys.last() == Some(first));
        let new = owners.iter().skip(usize::from(continues));
        self.keys.extend(new.map(|(key, _)| *key));
        self.ranges.clear();
        let mut start = 0;
        self.ranges.extend(owners.iter().map(|(_, rows)| {
            start += rows;
            start - rows..start
        }));
        self.places.clear();
        if self.aggregates.iter().any(|(aggregate, _)| aggregate.kernel.is_stock()) {
            let first = known - usize::from(continues);
            for (group, rows) in self.ranges.iter().enumerate() {
                self.places.resize(rows.end, first + group);
            }
        }
        continues
    }

    fn emit(&mut self, schema: &SchemaRef, count: usize) -> Result<RecordBatch> {
        let all = count == self.keys.len();
        let keys: Int64Array = self.keys.drain(..count).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(keys)];
        for (_, kernel) in &mut self.aggregates {
            columns.push(kernel.take(count, all)?);
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn emit_all(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        match self.keys.is_empty() {
            true => Ok(RecordBatch::new_empty(schema.clone())),
            false => self.emit(schema, self.keys.len()),
        }
    }
}

fn truths(filter: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<BooleanArray> {
    let truths = filter.evaluate(batch)?.into_array(batch.num_rows())?;
    match truths.as_boolean_opt() {
        Some(truths) => Ok(truths.clone()),
        None => Err(DataFusionError::Internal("a filter is no condition".into())),
    }
}
