//! `SELECT DISTINCT customer_id, …` and `count(DISTINCT customer_id) … GROUP BY …` over rows that
//! come customer by customer: no customer is hashed.
//!
//! What stands beside the customer (a day, a channel) has few values. Each tuple of them gets a
//! number; an array by that number says who was seen there last, and a row is new when that was
//! somebody else. To count is then to add one in another array.

mod by_day;
mod steps;
mod tuples;
mod values;

use crate::walk::label_columns::{answered, numbered_labels};
use crate::walk::owned::{OwnedRows, owned_rows};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use by_day::by_day;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputOrderMode,
    PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, stream};
use std::fmt;
use std::sync::Arc;
use tuples::TupleNumbers;

/// Distinct rows, or how many customers there are for each tuple of the other columns.
#[derive(Clone, Debug)]
pub(crate) struct CustomerDistinctExec {
    input: Arc<dyn ExecutionPlan>,
    /// The expressions of the rows; that at `key` is the customer.
    groups: Vec<Arc<dyn PhysicalExpr>>,
    names: Vec<String>,
    key: usize,
    output: Output,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Output {
    /// Each row once.
    Rows,
    /// The expressions at these places, then the number of customers.
    Counts(Vec<usize>),
}

impl CustomerDistinctExec {
    /// The same as this aggregation of the engine, when it only makes rows distinct and its input
    /// is sorted by one whole number among them.
    pub(crate) fn instead_of(aggregation: &AggregateExec) -> Result<Option<Self>> {
        let groups = aggregation.group_expr();
        let is_unsorted = *aggregation.input_order_mode() == InputOrderMode::Linear;
        let Some(order) = aggregation.input().output_ordering().filter(|_| !is_unsorted) else {
            return Ok(None);
        };
        // What the rows are sorted by first stands side by side.
        let first = &order.first().expr;
        let Some(key) = groups.expr().iter().position(|(group, _)| group.eq(first)) else {
            return Ok(None);
        };
        let mut expressions =
            groups.expr().iter().map(|(group, _)| group.clone()).collect::<Vec<_>>();
        let schema = aggregation.input().schema();
        let is_number = expressions[key].data_type(&schema)? == DataType::Int64;
        let is_plain = is_whole(aggregation)
            && aggregation.aggr_expr().is_empty()
            && aggregation.limit_options().is_none();
        if !is_plain || !is_number || expressions.len() < 2 {
            return Ok(None);
        }
        let mut input = aggregation.input().clone();
        // What a projection computes is computed here, where steps of time need no computing.
        while let Some(below) = input.downcast_ref::<ProjectionExec>() {
            let computed = expressions.iter().map(|group| through(group, below));
            let Some(computed) = computed.collect::<Result<Option<Vec<_>>>>()? else {
                break;
            };
            let next = below.input().clone();
            (expressions, input) = (computed, next);
        }
        numbered_labels(&input, &mut expressions);
        if let Some((answering, placed)) = answered(&input, &expressions)? {
            (input, expressions) = (answering, placed);
        }
        input = by_day(&input, &expressions)?.unwrap_or(input);
        Ok(Some(Self {
            input,
            groups: expressions,
            names: groups.expr().iter().map(|(_, name)| name.clone()).collect(),
            key,
            output: Output::Rows,
            properties: aggregation.properties().clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    /// The same as counting the customers of these rows by all other columns.
    pub(crate) fn counted(&self, aggregation: &AggregateExec) -> Option<Self> {
        let [count] = aggregation.aggr_expr() else {
            return None;
        };
        let is_count = count.fun().name() == "count"
            && !count.is_distinct()
            && aggregation.filter_expr().iter().all(Option::is_none)
            && count.expressions().iter().map(column_of).eq([Some(self.key)]);
        let is_first = is_whole(aggregation) || *aggregation.mode() == AggregateMode::Partial;
        let groups = aggregation.group_expr();
        let places = groups.expr().iter().map(|(group, _)| column_of(group));
        let places = places.collect::<Option<Vec<_>>>()?;
        let mut all = places.clone();
        all.push(self.key);
        all.sort_unstable();
        let is_plain = groups.is_single() && aggregation.limit_options().is_none();
        let is_all = all.into_iter().eq(0..self.groups.len());
        if self.output != Output::Rows || !is_count || !is_first || !is_plain || !is_all {
            return None;
        }
        let properties = aggregation.properties().clone();
        let metrics = ExecutionPlanMetricsSet::new();
        Some(Self { output: Output::Counts(places), properties, metrics, ..self.clone() })
    }
}

/// The expression over the input of a projection; `None` when that answers differently each time.
fn through(
    group: &Arc<dyn PhysicalExpr>,
    projection: &ProjectionExec,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let columns = projection.expr();
    let moved = Arc::clone(group).transform_down(|part| {
        let below = part.downcast_ref::<Column>().and_then(|column| columns.get(column.index()));
        Ok(match below {
            Some(below) => Transformed::new(below.expr.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(part),
        })
    });
    let moved = moved?.data;
    let is_volatile = moved.exists(|part| Ok(part.is_volatile_node()))?;
    Ok((!is_volatile).then_some(moved))
}

fn is_whole(aggregation: &AggregateExec) -> bool {
    matches!(aggregation.mode(), AggregateMode::Single | AggregateMode::SinglePartitioned)
        && aggregation.group_expr().is_single()
}

fn column_of(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expression.downcast_ref::<Column>().map(Column::index)
}

impl DisplayAs for CustomerDistinctExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |place: &usize| self.names[*place].as_str();
        match &self.output {
            Output::Rows => write!(f, "CustomerDistinctExec: [{}]", self.names.join(", ")),
            Output::Counts(places) => {
                let by = places.iter().map(name).collect::<Vec<_>>().join(", ");
                write!(f, "CustomerDistinctExec: count({}) by [{by}]", name(&self.key))
            }
        }
    }
}

impl ExecutionPlan for CustomerDistinctExec {
    fn name(&self) -> &str {
        "CustomerDistinctExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::KeyPartitioned(vec![self.groups[self.key].clone()])]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.output == Output::Rows]
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
            _ => Err(DataFusionError::Internal("CustomerDistinctExec has one child".into())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let consumer = MemoryConsumer::new(format!("CustomerDistinctExec[{partition}]"));
        let reservation = consumer.register(context.memory_pool());
        let visits = Visits::new(self, reservation)?;
        // The customers of rows that are listed are read, those of rows that are counted are not.
        let lists = self.output == Output::Rows;
        let reads = self.groups.iter().enumerate();
        let reads = reads.filter(|(place, _)| lists || *place != self.key).map(|(_, group)| group);
        let input = owned_rows(&self.input, &self.groups[self.key], reads, partition, context)?;
        let schema = self.schema();
        let given = schema.clone();
        let stream = stream::try_unfold(Some((input, visits)), move |state| {
            let (schema, metrics) = (given.clone(), metrics.intermediate());
            async move {
                let Some((mut input, mut visits)) = state else {
                    return Ok(None);
                };
                let rows = input.next().await.transpose()?;
                let _timer = metrics.elapsed_compute().timer();
                let (batch, state) = match rows {
                    Some(rows) => (visits.add(&rows, &schema)?, Some((input, visits))),
                    None => (visits.finish(&schema)?, None),
                };
                metrics.record_output(batch.num_rows());
                Ok::<_, DataFusionError>(Some((batch, state)))
            }
        });
        let stream = stream.filter(|batch| {
            let keep = batch.as_ref().map_or(true, |batch| batch.num_rows() > 0);
            async move { keep }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(stream))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Who was seen where.
struct Visits {
    groups: Vec<Arc<dyn PhysicalExpr>>,
    key: usize,
    output: Output,
    tuples: TupleNumbers,
    /// By tuple.
    seen: Vec<Seen>,
    customer: Option<Option<i64>>,
    customers: u32,
    /// The rows of a batch that are new.
    new: Vec<u32>,
    reservation: MemoryReservation,
}

/// Who was seen with one tuple.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// The last customer, by order of appearance from 1.
    last: u32,
    /// How many customers.
    customers: u32,
}

impl Visits {
    fn new(plan: &CustomerDistinctExec, reservation: MemoryReservation) -> Result<Self> {
        let schema = plan.input.schema();
        let mut others = plan.groups.clone();
        others.remove(plan.key);
        Ok(Self {
            groups: plan.groups.clone(),
            key: plan.key,
            output: plan.output.clone(),
            tuples: TupleNumbers::new(others, &schema)?,
            seen: Vec::new(),
            customer: None,
            customers: 0,
            new: Vec::new(),
            reservation,
        })
    }

    /// The rows that are new, or none when they are counted.
    fn add(&mut self, rows: &OwnedRows, schema: &SchemaRef) -> Result<RecordBatch> {
        let (batch, owners) = (&rows.batch, &rows.owners);
        self.tuples.number(batch)?;
        self.seen.resize(self.tuples.len(), Seen::default());
        self.new.clear();
        let new = match self.output {
            Output::Counts(_) => self.visit::<false>(owners),
            Output::Rows => {
                self.new.resize(batch.num_rows(), 0);
                self.visit::<true>(owners)
            }
        };
        self.new.truncate(new);
        let size = self.tuples.size() + size_of_val(self.seen.as_slice()) + self.new.capacity() * 4;
        self.reservation.try_resize(size)?;
        if self.new.is_empty() {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        let new = std::mem::take(&mut self.new);
        // Only for the rows that are new is it computed what they say.
        let new = take_record_batch(batch, &UInt32Array::from(new))?;
        let columns = self.groups.iter().zip(schema.fields()).map(|(group, field)| {
            typed(&group.evaluate(&new)?.into_array(new.num_rows())?, field.data_type())
        });
        Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
    }

    /// Marks who was seen where; how many rows are new. Where these are is kept when it is asked
    /// for. Whether a row is new is as good as random, so nothing here branches on it.
    fn visit<const LISTS: bool>(&mut self, owners: &[(Option<i64>, usize)]) -> usize {
        let (seen, list) = (self.seen.as_mut_slice(), self.new.as_mut_slice());
        let (mut new, mut start) = (0, 0);
        for &(key, rows) in owners {
            if self.customer != Some(key) {
                self.customer = Some(key);
                self.customers += 1;
            }
            let customer = self.customers;
            // Rows without a customer make a group, but no customer.
            let counts = u32::from(key.is_some());
            let tuples = &self.tuples.of_batch()[start..start + rows];
            for (row, &tuple) in (start..).zip(tuples) {
                let seen = &mut seen[tuple as usize];
                let is_new = u32::from(seen.last != customer);
                seen.last = customer;
                seen.customers += is_new & counts;
                if LISTS {
                    list[new] = row as u32;
                    new += is_new as usize;
                }
            }
            start += rows;
        }
        new
    }

    /// The counts; nothing, when rows were given as they came.
    fn finish(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let Output::Counts(places) = &self.output else {
            return Ok(RecordBatch::new_empty(schema.clone()));
        };
        if self.tuples.len() == 0 {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        let counts = self.seen.iter().map(|seen| i64::from(seen.customers));
        let counts: ArrayRef = Arc::new(counts.collect::<Int64Array>());
        let values = self.tuples.into_columns()?;
        // The customer is not among the columns of the tuples.
        let place = |place: &usize| place - usize::from(*place > self.key);
        let columns = places.iter().map(|group| values[place(group)].clone()).chain([counts]);
        let columns = columns.zip(schema.fields());
        let columns = columns.map(|(values, field)| typed(&values, field.data_type()));
        Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
    }
}

/// Labels came as numbers and go as texts.
fn typed(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    match values.data_type() == data_type {
        true => Ok(values.clone()),
        false => Ok(cast(values, data_type)?),
    }
}
