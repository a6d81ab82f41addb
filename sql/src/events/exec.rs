//! The plan node of `events`: what the Parquet source reads, with the customer of each event.

use crate::events::report::PruningReport;
use crate::session::Pinned;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use habitue_storage::identity::IdentityMap;
use std::fmt;
use std::sync::Arc;

/// Where a column of the output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputColumn {
    /// The column at this place of the input.
    Stored(usize),
    /// The customer of the identifier at this place of the input.
    CustomerOf(usize),
}

/// Adds `customer_id` and says what was pruned.
///
/// It holds plain values: the snapshot's version finds the identity map again wherever the plan is
/// run.
#[derive(Clone, Debug)]
pub(crate) struct EventScanExec {
    input: Arc<dyn ExecutionPlan>,
    outputs: Arc<[OutputColumn]>,
    version: u64,
    identities: Identities,
    report: PruningReport,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The identity map of the snapshot; too long to be printed.
#[derive(Clone)]
struct Identities(Arc<IdentityMap>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.as_slice().len())
    }
}

impl EventScanExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        outputs: Vec<OutputColumn>,
        pinned: &Pinned,
        report: PruningReport,
    ) -> Self {
        let properties = properties_over(&input, schema);
        Self {
            input,
            outputs: outputs.into(),
            version: pinned.snapshot().version,
            identities: Identities(pinned.identities().clone()),
            report,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// How many rows are read.
    pub(crate) fn rows_selected(&self) -> u64 {
        self.report.rows_selected
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = properties_over(&input, self.schema());
        Self { input, properties, ..self.clone() }
    }

    fn customer_statistics(&self) -> ColumnStatistics {
        let customers = self.identities.0.customers_len();
        let customers = usize::try_from(customers).unwrap_or(usize::MAX);
        ColumnStatistics {
            distinct_count: Precision::Inexact(customers),
            ..ColumnStatistics::new_unknown()
        }
    }
}

fn properties_over(input: &Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        input.properties().output_partitioning().clone(),
        EmissionType::Incremental,
        input.properties().boundedness,
    ))
}

/// The batch with the columns of the output.
fn with_customers(
    batch: &RecordBatch,
    schema: &SchemaRef,
    outputs: &[OutputColumn],
    identities: &IdentityMap,
) -> Result<RecordBatch> {
    let columns = outputs.iter().map(|output| match *output {
        OutputColumn::Stored(place) => Ok(batch.column(place).clone()),
        OutputColumn::CustomerOf(place) => customers_of(batch.column(place), identities),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Looks up the customer of each identifier; NULL stays NULL.
fn customers_of(identifiers: &ArrayRef, identities: &IdentityMap) -> Result<ArrayRef> {
    let identifiers = identifiers.as_primitive::<Int64Type>();
    let map = identities.as_slice();
    let unknown = || {
        let reason = "an event carries an identifier that the identity map does not know";
        DataFusionError::Execution(reason.into())
    };
    let customer = |identifier: i64| {
        let place = usize::try_from(identifier).ok()?;
        map.get(place).map(|&customer| i64::from(customer))
    };
    // NULLs hold any number, so they must not be looked up.
    let customers: Int64Array = if identifiers.null_count() == 0 {
        let values = identifiers.values().iter();
        let found = values.map(|&value| customer(value)).collect::<Option<Vec<_>>>();
        found.ok_or_else(unknown)?.into()
    } else {
        let found = identifiers.iter().map(|identifier| match identifier {
            Some(identifier) => customer(identifier).map(Some).ok_or_else(unknown),
            None => Ok(None),
        });
        found.collect::<Result<_>>()?
    };
    Ok(Arc::new(customers))
}

impl DisplayAs for EventScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "EventScanExec: version={}, {}", self.version, self.report)
            }
            DisplayFormatType::TreeRender => write!(f, "{}", self.report),
        }
    }
}

impl ExecutionPlan for EventScanExec {
    fn name(&self) -> &str {
        "EventScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// The order is kept, but who pushes a sort below a node takes its columns for those of its
    /// input, place by place, and would sort by identifiers where customers are wanted.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
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

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(self.over(input))),
            _ => Err(DataFusionError::Internal("EventScanExec has one child".into())),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema();
        let outputs = self.outputs.clone();
        let identities = self.identities.0.clone();
        let mapped = schema.clone();
        let stream = input.map(move |batch| {
            let _timer = metrics.elapsed_compute().timer();
            let batch = with_customers(&batch?, &mapped, &outputs, &identities)?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input_statistics: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let Some(input) = input_statistics.first() else {
            return Ok(Arc::new(Statistics::new_unknown(&self.schema())));
        };
        let columns = self.outputs.iter().map(|output| match *output {
            OutputColumn::Stored(place) => input.column_statistics[place].clone(),
            OutputColumn::CustomerOf(_) => self.customer_statistics(),
        });
        Ok(Arc::new(Statistics {
            num_rows: self.report.rows_left(input.num_rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns.collect(),
        }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }
}
