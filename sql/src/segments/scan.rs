//! The plan node that reads a segment: its members one by one, or as the bitmap that they are.

use crate::segments::members::Members;
use crate::session::SegmentKey;
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::stream;
use habitue_udf::bitmap::Bitmap;
use std::fmt;
use std::sync::Arc;

/// The members of one version of a segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentScanExec {
    key: SegmentKey,
    members: Arc<Members>,
    output: Output,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// The first so many, a row each, ascending.
    Rows { wanted: usize },
    /// All of them in one row.
    Bitmap,
}

impl SegmentScanExec {
    /// The first members, a row each; at most `wanted`.
    pub(crate) fn rows(
        key: SegmentKey,
        members: Arc<Members>,
        schema: &SchemaRef,
        wanted: usize,
    ) -> Self {
        Self::new(key, members, schema, Output::Rows { wanted })
    }

    /// The bitmap of the members as the only value of this schema; `None` when not all members are
    /// given.
    pub(crate) fn as_bitmap(&self, schema: &SchemaRef) -> Option<Self> {
        let members = self.members.today().len();
        match self.output {
            Output::Rows { wanted } if wanted as u64 >= members => {
                Some(Self::new(self.key.clone(), self.members.clone(), schema, Output::Bitmap))
            }
            _ => None,
        }
    }

    fn new(key: SegmentKey, members: Arc<Members>, schema: &SchemaRef, output: Output) -> Self {
        let mut equivalence = EquivalenceProperties::new(schema.clone());
        if let (Output::Rows { .. }, Some(field)) = (output, schema.fields().first()) {
            let options = SortOptions { descending: false, nulls_first: false };
            let expr: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), 0));
            equivalence.add_ordering([PhysicalSortExpr { expr, options }]);
        }
        let properties = Arc::new(PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self { key, members, output, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn row_count(&self) -> usize {
        match self.output {
            Output::Rows { wanted } => {
                usize::try_from(self.members.today().len()).unwrap_or(usize::MAX).min(wanted)
            }
            Output::Bitmap => 1,
        }
    }
}

impl DisplayAs for SegmentScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = &self.key;
        write!(f, "SegmentScanExec: segment={name}")?;
        if let Some(version) = version {
            write!(f, ", version={version}")?;
        }
        write!(f, ", members={}", self.members.today().len())?;
        match self.output {
            Output::Rows { wanted: usize::MAX } => Ok(()),
            Output::Rows { wanted } => write!(f, ", limit={wanted}"),
            Output::Bitmap => write!(f, ", as one bitmap"),
        }
    }
}

impl ExecutionPlan for SegmentScanExec {
    fn name(&self) -> &str {
        "SegmentScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema();
        let batches: Box<dyn Iterator<Item = ArrayRef> + Send> = match self.output {
            Output::Bitmap => {
                let bytes = Bitmap::from(self.members.today().clone()).to_bytes();
                Box::new(std::iter::once(Arc::new(BinaryArray::from_vec(vec![&bytes])) as ArrayRef))
            }
            Output::Rows { .. } => {
                let rows = context.session_config().batch_size();
                Box::new(members(self.members.clone(), self.row_count(), rows))
            }
        };
        let given = schema.clone();
        let batches = batches.map(move |column| {
            // Nobody may want a column, only how many rows there are.
            let batch = match given.fields().is_empty() {
                true => RecordBatch::try_new_with_options(
                    given.clone(),
                    Vec::new(),
                    &arrow::array::RecordBatchOptions::new().with_row_count(Some(column.len())),
                ),
                false => RecordBatch::try_new(given.clone(), vec![column]),
            };
            let batch = batch?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_statistics: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let rows = self.row_count();
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Exact(rows);
        for column in &mut statistics.column_statistics {
            *column = ColumnStatistics {
                null_count: Precision::Exact(0),
                distinct_count: Precision::Exact(rows),
                ..ColumnStatistics::new_unknown()
            };
        }
        Ok(Arc::new(statistics))
    }
}

/// The first `wanted` members, ascending, `rows` at a time.
fn members(
    members: Arc<Members>,
    wanted: usize,
    rows: usize,
) -> impl Iterator<Item = ArrayRef> + Send {
    let (mut next, mut left) = (0_u32, wanted);
    std::iter::from_fn(move || {
        let batch = members.today().range(next..).take(rows.min(left)).map(i64::from);
        let batch = batch.collect::<Vec<_>>();
        let last = batch.last().and_then(|last| u32::try_from(*last).ok())?;
        left -= batch.len();
        match last.checked_add(1) {
            Some(following) => next = following,
            None => left = 0,
        }
        Some(Arc::new(Int64Array::from(batch)) as ArrayRef)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use roaring::RoaringBitmap;

    #[test]
    fn members_come_in_their_order_and_no_more_than_wanted() {
        let all = RoaringBitmap::from_iter([1, 5, 70_000, u32::MAX - 1, u32::MAX]);
        let all = Arc::new(Members::new(all));
        let found = |wanted, rows| {
            let batches = members(all.clone(), wanted, rows);
            let batches = batches.map(|batch| batch.as_primitive::<Int64Type>().values().to_vec());
            batches.collect::<Vec<_>>()
        };
        let max = i64::from(u32::MAX);
        assert_eq!(found(usize::MAX, 2), [vec![1, 5], vec![70_000, max - 1], vec![max]]);
        assert_eq!(found(3, 2), [vec![1, 5], vec![70_000]]);
        assert_eq!(found(5, 5), [vec![1, 5, 70_000, max - 1, max]]);
        assert_eq!(found(0, 2), Vec::<Vec<i64>>::new());
    }
}
