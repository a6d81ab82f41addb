//! The plan node of the walk.

use crate::events::PruningReport;
use crate::hot::ColumnKind;
use crate::session::Pinned;
use crate::walk::batch::BatchMaker;
use crate::walk::days::Days;
use crate::walk::files::{LoadedFiles, WalkFiles, WalkPart};
use crate::walk::output::{AllLabels, LabelExpression, WalkColumn};
use crate::walk::owned::OwnedRows;
use crate::walk::picked::{Picked, Picker, Picking};
use crate::walk::row_test::RowTest;
use crate::walk::runs::CustomerRuns;
use crate::walk::segments::{Segments, Walker};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
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
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringBitmap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Events customer by customer, each customer's in order of time.
#[derive(Clone)]
pub(crate) struct CustomerWalkExec {
    source: Arc<WalkSource>,
    columns: Vec<WalkColumn>,
    /// When the first row of each day is enough.
    days: Option<Arc<Days>>,
    statistics: Statistics,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What is walked over, whatever columns are wanted of it.
pub(crate) struct WalkSource {
    pub(crate) pinned: Arc<Pinned>,
    pub(crate) report: PruningReport,
    pub(crate) rows: WalkRows,
    pub(crate) files: Arc<WalkFiles>,
    /// The customers whose rows are wanted; `None` is everybody.
    pub(crate) customers: Option<Arc<RoaringBitmap>>,
    /// Only rows that pass one of the tests of each of these are given.
    pub(crate) filters: Vec<Vec<LabelExpression>>,
    /// The place of `ts` among the columns that are read.
    pub(crate) ts: Option<usize>,
    pub(crate) partitions: usize,
}

/// Where the rows of a walk are found.
pub(crate) enum WalkRows {
    /// Among all rows of the parts, where the runs say.
    Whole(Arc<CustomerRuns>),
    /// Files are read for those that pass the filters.
    Picked { picker: Picker, walked: OnceCell<Walked> },
}

/// What is walked.
#[derive(Clone)]
pub(crate) struct Walked {
    pub(crate) files: Arc<LoadedFiles>,
    pub(crate) runs: Arc<CustomerRuns>,
}

impl fmt::Debug for Walked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Walked")
    }
}

impl WalkSource {
    /// All rows, or those that pass the filters.
    pub(super) async fn whole(&self) -> Result<Walked> {
        match &self.rows {
            WalkRows::Whole(runs) => {
                Ok(Walked { files: self.files.clone().load().await?, runs: runs.clone() })
            }
            WalkRows::Picked { picker, walked } => {
                walked.get_or_try_init(|| self.picked(picker)).await.cloned()
            }
        }
    }

    async fn picked(&self, picker: &Picker) -> Result<Walked> {
        let files = self.files.files().cloned().collect::<Vec<_>>();
        let picked = picker.pick(&files, usize::MAX).await?;
        let nothing = || DataFusionError::Internal("rows of a walk were not picked".into());
        let Picked { columns, runs, memory, .. } = picked.ok_or_else(nothing)?;
        let files = LoadedFiles::of_parts(&columns, Arc::new(memory));
        Ok(Walked { files: Arc::new(files), runs: Arc::new(runs) })
    }

    fn is_picked(&self) -> bool {
        matches!(self.rows, WalkRows::Picked { .. })
    }

    fn picks_all(&self) -> bool {
        matches!(&self.rows, WalkRows::Picked { picker, .. } if picker.picks_all())
    }

    /// The same where only the first row of each day is picked, by the places of times and labels;
    /// `None` when not all rows are picked.
    fn of_picked_days(&self, columns: &[usize]) -> Option<Self> {
        let WalkRows::Picked { picker, .. } = &self.rows else {
            return None;
        };
        let picking = Picking::FirstOfDay(columns.to_vec());
        let picker = Picker { picking, ..picker.clone() };
        let rows = WalkRows::Picked { picker, walked: OnceCell::new() };
        Some(Self {
            pinned: self.pinned.clone(),
            report: self.report,
            rows,
            files: self.files.clone(),
            customers: self.customers.clone(),
            filters: self.filters.clone(),
            ts: self.ts,
            partitions: self.partitions,
        })
    }
}

impl CustomerWalkExec {
    /// How many rows are read.
    pub(crate) fn rows_selected(&self) -> u64 {
        self.source.report.rows_selected
    }

    pub(crate) fn new(
        source: Arc<WalkSource>,
        schema: &SchemaRef,
        columns: Vec<WalkColumn>,
        statistics: Statistics,
    ) -> Self {
        let properties = properties(schema, &columns, &source);
        let num_rows = source.report.rows_left(statistics.num_rows);
        let statistics = Statistics { num_rows, ..statistics };
        let metrics = ExecutionPlanMetricsSet::new();
        Self { source, columns, days: None, statistics, properties, metrics }
    }

    /// The columns that it gives.
    pub(crate) fn columns(&self) -> &[WalkColumn] {
        &self.columns
    }

    /// The same rows with other columns.
    pub(crate) fn with_columns(&self, schema: &SchemaRef, columns: Vec<WalkColumn>) -> Self {
        let statistics =
            Statistics { num_rows: self.statistics.num_rows, ..Statistics::new_unknown(schema) };
        Self::new(self.source.clone(), schema, columns, statistics)
    }

    /// The times between which all rows are of which some may be left out by [`Self::by_day`].
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        let files = match self.source.files.parts.first()? {
            WalkPart::Arranged(arrangement) => arrangement.files().iter().collect::<Vec<_>>(),
            _ if self.source.picks_all() => self.source.files.files().collect(),
            _ => return None,
        };
        let first = files.iter().map(|file| file.ts_min_us).min();
        let last = files.iter().map(|file| file.ts_max_us).max();
        first.zip(last)
    }

    /// A walk that may leave out rows of a customer that are not the first of their day with the
    /// same labels; `None` when more than times and labels is read.
    pub(super) fn by_day(&self) -> Option<Self> {
        let mut read = vec![self.source.ts?];
        let of_columns = self.columns.iter().filter_map(|column| match column {
            WalkColumn::Customer => None,
            WalkColumn::Time(place) | WalkColumn::Identifier(place) => Some(*place),
            WalkColumn::Decimal(place) | WalkColumn::Label(place) => Some(*place),
            WalkColumn::OfLabel(of) => Some(of.column),
        });
        read.extend(of_columns.chain(self.source.filters.iter().flatten().map(|test| test.column)));
        let (time, labels) = read.split_at_mut(1);
        labels.sort_unstable();
        let schema = &self.source.files.schema;
        let mut columns = time.to_vec();
        for &mut place in labels {
            let field = schema.field(place);
            match ColumnKind::of(field.name(), field.data_type())? {
                ColumnKind::Label if columns.last() != Some(&place) => columns.push(place),
                ColumnKind::Label => {}
                ColumnKind::Time if place == columns[0] => {}
                _ => return None,
            }
        }
        Some(match self.source.of_picked_days(&columns) {
            Some(source) => Self { source: Arc::new(source), ..self.clone() },
            None => Self { days: Some(Arc::new(Days::new(columns))), ..self.clone() },
        })
    }

    /// The rows of a partition with whose they are. When it is not read, the column of customers
    /// says nothing.
    pub(super) fn owned_rows(
        &self,
        partition: usize,
        context: &TaskContext,
        reads_customer: bool,
    ) -> BoxStream<'static, Result<OwnedRows>> {
        self.rows(partition, context, reads_customer, |maker, segments| {
            let batch = maker.batch(&segments)?;
            let owners = segments.owners.into_iter();
            let owners = owners.map(|(owner, rows)| (owner.customer_id(), rows as usize));
            Ok(OwnedRows { batch, owners: owners.collect() })
        })
    }

    /// What is made of the rows of a partition, some thousands at a time.
    fn rows<T: Send + 'static>(
        &self,
        partition: usize,
        context: &TaskContext,
        reads_customer: bool,
        make: impl Fn(&BatchMaker, Segments) -> Result<T> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = context.session_config().batch_size();
        let walk = self.clone();
        let made = async move {
            let walked = match &walk.days {
                Some(days) => days.walked(&walk.source).await?,
                None => walk.source.whole().await?,
            };
            // Who waited for this partition to read the columns runs on this thread next, or not before
            // this partition is at its end: the other threads cannot take it.
            tokio::task::yield_now().await;
            let files = &walked.files;
            let columns = walk.columns.iter();
            let maker = BatchMaker::new(walk.schema(), files.clone(), columns, reads_customer)?;
            let mut walker = walk.walker(partition, &walked)?;
            let next = move || -> Option<Result<T>> {
                let _timer = metrics.elapsed_compute().timer();
                let segments = walker.next_segments(rows);
                metrics.record_output(segments.rows);
                (segments.rows > 0).then(|| make(&maker, segments))
            };
            Ok::<_, DataFusionError>(stream::iter(std::iter::from_fn(next)))
        };
        stream::once(made).try_flatten().boxed()
    }

    fn walker(&self, partition: usize, walked: &Walked) -> Result<Walker> {
        let source = &self.source;
        let Walked { files, runs } = walked;
        let spreads = source.pinned.hot().runs().spreads();
        let partitions = runs.partitions(source.partitions, spreads)?;
        let customers = source.customers.clone();
        let mut walker = Walker::new(runs.clone(), partitions, partition, customers, files.clone());
        walker.times = ts_place(&self.columns, source.ts).and(source.ts);
        // What was picked has passed them.
        let filters = source.filters.iter().filter(|_| !source.is_picked());
        for tests in filters {
            let test = |test: &LabelExpression| {
                let labels = AllLabels::of(files, test.column);
                Ok(RowTest::new(test.column, labels.passes(test.expression.as_ref())?))
            };
            walker.keep.push(tests.iter().map(test).collect::<Result<_>>()?);
        }
        Ok(walker)
    }
}

/// The place of `ts` among the columns that a walk gives, when it is there.
fn ts_place(columns: &[WalkColumn], ts: Option<usize>) -> Option<usize> {
    let is_ts = |column: &WalkColumn| matches!(column, WalkColumn::Time(read) if Some(*read) == ts);
    columns.iter().position(is_ts)
}

fn properties(
    schema: &SchemaRef,
    columns: &[WalkColumn],
    source: &WalkSource,
) -> Arc<PlanProperties> {
    let partitions = source.partitions;
    let column = |place: usize| -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(schema.field(place).name(), place))
    };
    let ascending = |place: usize| PhysicalSortExpr {
        expr: column(place),
        options: SortOptions { descending: false, nulls_first: false },
    };
    let customer = columns.iter().position(|column| matches!(column, WalkColumn::Customer));
    let ts = ts_place(columns, source.ts);
    let (partitioning, orderings) = match customer {
        Some(customer) => {
            let order = [Some(customer), ts].into_iter().flatten().map(ascending);
            let key = vec![column(customer)];
            (Partitioning::Hash(key, partitions), vec![order.collect::<Vec<_>>()])
        }
        None => (Partitioning::UnknownPartitioning(partitions), Vec::new()),
    };
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new_with_orderings(schema.clone(), orderings),
        partitioning,
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl fmt::Debug for CustomerWalkExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerWalkExec({:?})", self.columns)
    }
}

impl DisplayAs for CustomerWalkExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        if matches!(format, DisplayFormatType::TreeRender) {
            return write!(f, "{}", source.report);
        }
        write!(
            f,
            "CustomerWalkExec: version={}, {}",
            source.pinned.snapshot().version,
            source.report
        )?;
        if source.files.is_arranged() {
            write!(f, ", arranged")?;
        }
        let picks_days = match &source.rows {
            WalkRows::Picked { picker, .. } => {
                write!(f, ", picked from files")?;
                picker.picks_days()
            }
            WalkRows::Whole(_) => false,
        };
        if picks_days || self.days.is_some() {
            write!(f, ", by day")?;
        }
        let names = self.schema();
        let names = names.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
        write!(f, ", columns=[{}]", names.join(", "))?;
        if !source.filters.is_empty() {
            let filters = source.filters.iter().map(|tests| match tests.as_slice() {
                [test] => test.to_string(),
                tests => {
                    let tests = tests.iter().map(|test| format!("({test})")).collect::<Vec<_>>();
                    format!("({})", tests.join(" OR "))
                }
            });
            write!(f, ", only=[{}]", filters.collect::<Vec<_>>().join(" AND "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for CustomerWalkExec {
    fn name(&self) -> &str {
        "CustomerWalkExec"
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
        let batches =
            self.rows(partition, &context, true, |maker, segments| maker.batch(&segments));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_statistics: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let statistics = match args.partition() {
            None => self.statistics.clone(),
            Some(_) => Statistics::new_unknown(&self.schema()),
        };
        Ok(Arc::new(statistics))
    }
}
