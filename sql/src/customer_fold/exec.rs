//! The plan node of a fold.

use super::lookalike::ranking;
use super::rows::{Customers, batches_of};
use super::{Fold, Folding};
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning,
    PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// A fold over rows that are spread by customer and sorted.
#[derive(Clone, Debug)]
pub(crate) struct CustomerFoldExec {
    fold: Fold,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CustomerFoldExec {
    pub(super) fn new(fold: Fold, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let Some(events) = inputs.first() else {
            return Err(DataFusionError::Internal("a fold has no input".into()));
        };
        let partitions = match fold.start() {
            Some(_) => events.output_partitioning().partition_count(),
            None => 1,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(fold.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { fold, inputs, properties: Arc::new(properties), metrics })
    }

    fn column(&self, place: usize) -> Arc<dyn PhysicalExpr> {
        let schema = self.inputs[0].schema();
        Arc::new(Column::new(schema.field(place).name(), place))
    }

    fn reservation(&self, partition: usize, context: &TaskContext) -> MemoryReservation {
        let consumer = MemoryConsumer::new(format!("CustomerFoldExec[{partition}]"));
        consumer.register(context.memory_pool())
    }

    fn fold_one(
        &self,
        folding: Box<dyn Folding>,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let reservation = self.reservation(partition, context);
        let mut input = batches_of(&self.inputs[0], partition, context)?;
        let (mut folding, mut customers) = (folding, Customers::default());
        let folded = async move {
            while let Some(batch) = input.try_next().await? {
                let _timer = metrics.elapsed_compute().timer();
                folding.add(&customers.of(&batch)?)?;
                reservation.try_resize(folding.size())?;
            }
            let batch = folding.finish()?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        };
        Ok(one_batch(self.schema(), folded))
    }

    fn fold_all(&self, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Fold::Lookalike(rule) = self.fold else {
            return Err(DataFusionError::Internal("this fold is one per partition".into()));
        };
        let [events, seeds] = self.inputs.as_slice() else {
            return Err(DataFusionError::Internal("lookalike has lost its seeds".into()));
        };
        let partitions = events.output_partitioning().partition_count();
        let partitions = (0..partitions).map(|partition| {
            let reservation = self.reservation(partition, context);
            Ok((batches_of(events, partition, context)?, reservation))
        });
        let partitions = partitions.collect::<Result<Vec<_>>>()?;
        let seeds = seeds.execute(0, context.clone())?;
        let metrics = BaselineMetrics::new(&self.metrics, 0);
        let ranked = async move {
            let batch = ranking(rule, partitions, seeds).await?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        };
        Ok(one_batch(self.schema(), ranked))
    }
}

fn one_batch(
    schema: SchemaRef,
    batch: impl Future<Output = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(batch).boxed()))
}

impl DisplayAs for CustomerFoldExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerFoldExec: {}", self.fold)
    }
}

impl ExecutionPlan for CustomerFoldExec {
    fn name(&self) -> &str {
        "CustomerFoldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    /// The events spread by customer; what else there is, in one piece.
    fn required_input_distribution(&self) -> Vec<Distribution> {
        let events = Distribution::KeyPartitioned(vec![self.column(0)]);
        let others = self.inputs.iter().skip(1).map(|_| Distribution::SinglePartition);
        std::iter::once(events).chain(others).collect()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let options = SortOptions { descending: false, nulls_first: false };
        let columns = 0..self.fold.sorted_columns();
        let order = columns.map(|place| PhysicalSortExpr { expr: self.column(place), options });
        let events = LexOrdering::new(order).map(OrderingRequirements::from);
        let others = self.inputs.iter().skip(1).map(|_| None);
        std::iter::once(events).chain(others).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inputs.iter().map(|_| false).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.inputs.iter().enumerate().map(|(place, _)| place == 0).collect()
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
        Ok(Arc::new(Self::new(self.fold.clone(), children)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        match self.fold.start() {
            Some(folding) => self.fold_one(folding, partition, &context),
            None => self.fold_all(&context),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
