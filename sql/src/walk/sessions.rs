//! `sessionize(ts, gap) OVER (PARTITION BY customer_id ORDER BY ts)` over rows that come customer
//! by customer and in order of time: one pass, nothing is held but the last time of one customer.

use crate::walk::owned::{OwnedRows, rows_of};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties,
    SendableRecordBatchStream,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use habitue_udf::sessionize::{SessionCall, SessionizeFunction, Sessions};
use std::fmt;
use std::sync::Arc;

/// Numbers the sessions of rows that are sorted by a whole number, such as `customer_id`, and time.
#[derive(Clone, Debug)]
pub(crate) struct SessionizeExec {
    input: Arc<dyn ExecutionPlan>,
    key: Arc<dyn PhysicalExpr>,
    calls: Vec<Call>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Clone, Debug)]
struct Call {
    name: String,
    ts: Arc<dyn PhysicalExpr>,
    session: SessionCall,
}

impl SessionizeExec {
    /// The same as this window node of the engine, when it only numbers sessions of rows that are
    /// in order already.
    pub(crate) fn instead_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let (windows, input) = match plan.downcast_ref::<BoundedWindowAggExec>() {
            Some(node) if node.input_order_mode == InputOrderMode::Sorted => {
                (node.window_expr(), node.input())
            }
            Some(_) => return None,
            None => {
                let node = plan.downcast_ref::<WindowAggExec>()?;
                (node.window_expr(), node.input())
            }
        };
        let keys = windows.first()?.partition_by();
        let [key] = keys else {
            return None;
        };
        if key.data_type(&input.schema()).ok()? != DataType::Int64 {
            return None;
        }
        let call = |window: &Arc<dyn WindowExpr>| {
            let same_key = window.partition_by().len() == 1 && window.partition_by()[0].eq(key);
            same_key.then(|| call(window.as_ref(), input)).flatten()
        };
        Some(Self {
            input: input.clone(),
            key: key.clone(),
            calls: windows.iter().map(call).collect::<Option<_>>()?,
            properties: plan.properties().clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl SessionizeExec {
    /// By what the rows are grouped: an expression over the input's columns, which come first here
    /// too.
    pub(super) fn key(&self) -> &Arc<dyn PhysicalExpr> {
        &self.key
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// The rows of a partition with whose they are.
    pub(super) fn owned_rows(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
        reads_key: bool,
    ) -> Result<BoxStream<'static, Result<OwnedRows>>> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input = rows_of(&self.input, &self.key, reads_key, partition, context)?;
        let schema = self.schema();
        let mut walks = self.calls.iter().cloned().map(Walk::new).collect::<Vec<_>>();
        let rows = input.map(move |rows| {
            let OwnedRows { batch, owners } = rows?;
            let _timer = metrics.elapsed_compute().timer();
            let mut columns = batch.columns().to_vec();
            for walk in &mut walks {
                columns.push(walk.sessions(&batch, &owners)?);
            }
            metrics.record_output(batch.num_rows());
            Ok(OwnedRows { batch: RecordBatch::try_new(schema.clone(), columns)?, owners })
        });
        Ok(rows.boxed())
    }
}

fn call(window: &dyn WindowExpr, input: &Arc<dyn ExecutionPlan>) -> Option<Call> {
    let standard = window.as_any().downcast_ref::<StandardWindowExpr>()?;
    let function = standard.get_standard_func_expr();
    let function = function.as_any().downcast_ref::<WindowUDFExpr>()?;
    function.fun().inner().downcast_ref::<SessionizeFunction>()?;
    let ts = function.args().first()?.clone();
    let [order] = window.order_by() else {
        return None;
    };
    let schema = input.schema();
    let in_order = order.expr.eq(&ts) && !order.options.descending;
    if !in_order || ts.nullable(&schema).ok()? {
        return None;
    }
    let session = SessionCall::new(function.args(), &schema).ok()?;
    Some(Call { name: window.name().to_owned(), ts, session })
}

impl DisplayAs for SessionizeExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>();
        write!(f, "SessionizeExec: by=[{}], calls=[{}]", self.key, calls.join(", "))
    }
}

impl ExecutionPlan for SessionizeExec {
    fn name(&self) -> &str {
        "SessionizeExec"
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
            _ => Err(DataFusionError::Internal("SessionizeExec has one child".into())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.owned_rows(partition, context, true)?;
        let batches = rows.map(|rows| Ok(rows?.batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Where one call has got to in one partition.
struct Walk {
    call: Call,
    customer: Option<Option<i64>>,
    sessions: Sessions,
}

impl Walk {
    fn new(call: Call) -> Self {
        Self { call, customer: None, sessions: Sessions::default() }
    }

    fn sessions(
        &mut self,
        batch: &RecordBatch,
        owners: &[(Option<i64>, usize)],
    ) -> Result<ArrayRef> {
        let ts = self.call.ts.evaluate(batch)?.into_array(batch.num_rows())?;
        let ts = self.call.session.times(&ts)?;
        let gap = self.call.session.gap();
        let mut sessions = Vec::with_capacity(ts.len());
        let mut times = ts.values().as_ref();
        for &(key, rows) in owners {
            if self.customer != Some(key) {
                self.customer = Some(key);
                self.sessions = Sessions::default();
            }
            let (of_customer, others) = times.split_at(rows);
            self.sessions.observe_all(of_customer, gap, &mut sessions);
            times = others;
        }
        Ok(Arc::new(Int64Array::from(sessions)))
    }
}
