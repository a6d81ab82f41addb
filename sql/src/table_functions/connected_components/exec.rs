//! The physical operator of `connected_components`: all threads number values in the same shards and
//! keep sets of their own; the sets are joined, and each is called by its smallest value.

use super::node::schema;
use super::numbering::Numbering;
use super::shards::{NO_VALUE, Shards, Visitor};
use super::value_bytes::ValueBytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{TryStreamExt, stream};
use habitue_storage::identity::components::DisjointSets;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The components of the links of its input, which has two columns of one type.
#[derive(Clone, Debug)]
pub(super) struct ConnectedComponentsExec {
    links: Arc<dyn ExecutionPlan>,
    value_type: DataType,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ConnectedComponentsExec {
    pub fn new(links: Arc<dyn ExecutionPlan>) -> Self {
        let value_type = links.schema().field(0).data_type().clone();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema(&value_type)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = properties.with_scheduling_type(SchedulingType::Cooperative);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { links, value_type, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for ConnectedComponentsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectedComponentsExec")
    }
}

impl ExecutionPlan for ConnectedComponentsExec {
    fn name(&self) -> &str {
        "ConnectedComponentsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.links]
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
        let [links] = <[_; 1]>::try_from(children).map_err(|_| {
            DataFusionError::Internal("ConnectedComponentsExec has one child".into())
        })?;
        Ok(Arc::new(Self { links, ..self.as_ref().clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let held = MemoryConsumer::new("ConnectedComponentsExec").register(context.memory_pool());
        let (links, value_type) = (Arc::clone(&self.links), self.value_type.clone());
        let rows = async move {
            let batch_rows = context.session_config().batch_size();
            let linked = linked(links, &value_type, &context, &held).await?;
            let components = linked.components(&value_type, &held).await?;
            let batches = (0..components.len()).step_by(batch_rows).map(move |start| {
                let _held = &held;
                let batch = components.batch(start, batch_rows)?;
                metrics.record_output(batch.num_rows());
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

/// All values of all links, and which of them belong together.
struct Linked {
    shards: Shards,
    sets: DisjointSets,
    threads: usize,
}

/// Reads the links on as many threads as the session has, however the rows are spread over the
/// partitions: a file of one row group is one of them.
async fn linked(
    links: Arc<dyn ExecutionPlan>,
    value_type: &DataType,
    context: &Arc<TaskContext>,
    held: &MemoryReservation,
) -> Result<Linked> {
    let threads = context.session_config().target_partitions();
    let links = RepartitionExec::try_new(links, Partitioning::RoundRobinBatch(threads))?;
    let shards = Arc::new(Shards::new(threads));
    let mut linking = JoinSet::new();
    for thread in 0..threads {
        let links = links.execute(thread, Arc::clone(context))?;
        let visitor = Visitor::beginning_at(thread * shards.count() / threads);
        let linker = Linker::new(value_type, Arc::clone(&shards), visitor, held.new_empty())?;
        linking.spawn(linker.link_all(links));
    }
    let mut sets = DisjointSets::default();
    while let Some(linker) = linking.join_next().await {
        let linker = linker.map_err(|error| DataFusionError::External(error.into()))??;
        sets.absorb(linker.sets);
        held.grow(linker.held.free());
    }
    let shards = Arc::into_inner(shards);
    let shards = shards.ok_or_else(|| DataFusionError::Internal("shards are in use".into()))?;
    Ok(Linked { shards, sets, threads })
}

/// One thread's part of the work.
struct Linker {
    bytes: ValueBytes,
    shards: Arc<Shards>,
    visitor: Visitor,
    sets: DisjointSets,
    // The numbers of one batch's rows.
    left: Vec<u32>,
    right: Vec<u32>,
    held: MemoryReservation,
}

impl Linker {
    fn new(
        value_type: &DataType,
        shards: Arc<Shards>,
        visitor: Visitor,
        held: MemoryReservation,
    ) -> Result<Self> {
        let (left, right) = (Vec::new(), Vec::new());
        let bytes = ValueBytes::of(value_type)?;
        Ok(Self { bytes, shards, visitor, sets: DisjointSets::default(), left, right, held })
    }

    async fn link_all(mut self, mut links: SendableRecordBatchStream) -> Result<Self> {
        while let Some(batch) = links.try_next().await? {
            self.link(batch.column(0), batch.column(1))?;
        }
        Ok(self)
    }

    fn link(&mut self, a: &ArrayRef, b: &ArrayRef) -> Result<()> {
        let before = self.own_bytes();
        let shards = &self.shards;
        let new_bytes = self.bytes.number(a, shards, &mut self.visitor, &mut self.left)?
            + self.bytes.number(b, shards, &mut self.visitor, &mut self.right)?;
        let numbers = self.left.iter().chain(&self.right);
        let last = numbers.filter(|number| **number != NO_VALUE).max();
        self.sets.grow(last.map_or(0, |last| last + 1));
        for (left, right) in self.left.iter().zip(&self.right) {
            if *left != NO_VALUE && *right != NO_VALUE {
                self.sets.unite(*left, *right);
            }
        }
        self.held.try_grow(new_bytes + self.own_bytes() - before)
    }

    fn own_bytes(&self) -> usize {
        let numbers = self.left.capacity() + self.right.capacity();
        self.visitor.memory_bytes() + self.sets.memory_bytes() + numbers * size_of::<u32>()
    }
}

impl Linked {
    async fn components(
        mut self,
        value_type: &DataType,
        held: &MemoryReservation,
    ) -> Result<Components> {
        let shards = self.shards.into_numberings();
        // Of a thread that had no row with the last numbers.
        let numbers = shards.iter().enumerate().map(|(at, shard)| shard.len() * shards.len() + at);
        self.sets.grow(u32::try_from(numbers.max().unwrap_or(0)).unwrap_or(NO_VALUE));
        let labels = self.sets.into_labels();
        // The smallest of each set, and the values as columns: what lies in the shards until then.
        held.try_grow(shards.iter().map(Numbering::memory_bytes).sum())?;
        let asked = Arc::new((shards, labels));
        let smallest = smallest(&asked, self.threads).await?;
        let (shards, labels) = Arc::into_inner(asked)
            .ok_or_else(|| DataFusionError::Internal("shards are in use".into()))?;
        let bytes = ValueBytes::of(value_type)?;
        let starts = shards.iter().scan(0, |next, shard| {
            let start = *next;
            *next += shard.len();
            Some(start)
        });
        let starts = starts.collect();
        let columns = shards.into_iter().map(|shard| bytes.column(shard));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let columns: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
        Ok(Components { ids: concat(&columns)?, starts, labels, smallest })
    }
}

/// The number of the smallest value of each set, at the number that is its label.
async fn smallest(asked: &Arc<(Vec<Numbering>, Vec<u32>)>, threads: usize) -> Result<Vec<u32>> {
    let numbers = asked.1.len();
    let mut searching = JoinSet::new();
    for thread in 0..threads {
        let labels = thread * numbers / threads..(thread + 1) * numbers / threads;
        let asked = Arc::clone(asked);
        searching.spawn(async move { (thread, smallest_of(&asked.0, &asked.1, labels)) });
    }
    let mut found = Vec::new();
    while let Some(part) = searching.join_next().await {
        found.push(part.map_err(|error| DataFusionError::External(error.into()))?);
    }
    found.sort_unstable_by_key(|(thread, _)| *thread);
    Ok(found.into_iter().flat_map(|(_, smallest)| smallest).collect())
}

/// The number of the smallest value of each set that has one of these labels.
fn smallest_of(shards: &[Numbering], labels: &[u32], wanted: Range<usize>) -> Vec<u32> {
    let value =
        |number: u32| shards[number as usize % shards.len()].value(number / shards.len() as u32);
    let mut smallest = labels[wanted.clone()].to_vec();
    for (number, label) in (0u32..).zip(labels) {
        if number == *label || !wanted.contains(&(*label as usize)) {
            continue;
        }
        let until_now = &mut smallest[*label as usize - wanted.start];
        if value(number) < value(*until_now) {
            *until_now = number;
        }
    }
    smallest
}

/// The answer: the values by shard, and what each of them belongs to.
struct Components {
    ids: ArrayRef,
    /// Where the values of each shard begin.
    starts: Vec<usize>,
    labels: Vec<u32>,
    smallest: Vec<u32>,
}

impl Components {
    fn len(&self) -> usize {
        self.ids.len()
    }

    /// So many rows, or as many as there are.
    fn batch(&self, start: usize, rows: usize) -> Result<RecordBatch> {
        let rows = rows.min(self.len() - start);
        let smallest: UInt32Array = (start..start + rows).map(|at| self.smallest_at(at)).collect();
        let components = take(&self.ids, &smallest, None)?;
        let columns = vec![self.ids.slice(start, rows), components];
        Ok(RecordBatch::try_new(schema(self.ids.data_type()), columns)?)
    }

    /// Where the smallest value is that belongs to the value at a place.
    fn smallest_at(&self, at: usize) -> u32 {
        let shards = self.starts.len();
        let shard = self.starts.partition_point(|start| *start <= at) - 1;
        let label = self.labels[(at - self.starts[shard]) * shards + shard];
        let smallest = self.smallest[label as usize] as usize;
        (self.starts[smallest % shards] + smallest / shards) as u32 // Below NO_VALUE.
    }
}
