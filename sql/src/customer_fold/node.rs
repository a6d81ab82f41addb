//! The logical node of a fold.

use super::{AttributionFold, Folding, PathFold, lookalike};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use habitue_udf::lookalike::LookalikeRule;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What is computed; plain values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) enum Fold {
    /// Columns customer, ts, name, begins, ends.
    EventPaths(PathFold),
    /// Columns customer, ts, touch, is a goal, amount.
    Attribution(AttributionFold),
    /// Columns customer, feature; and the seeds as a second input.
    Lookalike(LookalikeRule),
}

impl Fold {
    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            Self::EventPaths(fold) => fold.schema(),
            Self::Attribution(fold) => fold.schema(),
            Self::Lookalike(_) => lookalike::schema(),
        }
    }

    /// How many of the first columns say the order of rows.
    pub(super) fn sorted_columns(&self) -> usize {
        match self {
            Self::EventPaths(_) | Self::Attribution(_) => 2,
            Self::Lookalike(_) => 1,
        }
    }

    /// The fold of one partition; `None` for those that look at all partitions at once.
    pub(super) fn start(&self) -> Option<Box<dyn Folding>> {
        match self {
            Self::EventPaths(fold) => Some(fold.start()),
            Self::Attribution(fold) => Some(fold.start()),
            Self::Lookalike(_) => None,
        }
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventPaths(fold) => {
                write!(f, "event_paths, steps={}", fold.rule.steps)?;
                fold.rule.gap.map_or(Ok(()), |gap| write!(f, ", gap={gap}"))
            }
            Self::Attribution(fold) => {
                write!(f, "attribution, model={:?}, within={}", fold.rule.model, fold.rule.within)
            }
            Self::Lookalike(rule) => {
                write!(f, "lookalike, size={}, min_events={}", rule.size, rule.events_min)
            }
        }
    }
}

/// A fold over a relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FoldNode {
    fold: Fold,
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
}

impl FoldNode {
    /// The plan of a fold over these inputs.
    pub(crate) fn plan(fold: Fold, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
        let schema = Arc::new(DFSchema::try_from(fold.schema())?);
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(Self { fold, inputs, schema }) }))
    }

    pub(super) fn fold(&self) -> &Fold {
        &self.fold
    }
}

impl PartialOrd for FoldNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.fold
            .partial_cmp(&other.fold)
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for FoldNode {
    fn name(&self) -> &str {
        "CustomerFold"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerFold: {}", self.fold)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if inputs.len() != self.inputs.len() {
            return Err(DataFusionError::Internal("a fold has lost an input".into()));
        }
        Ok(Self { inputs, ..self.clone() })
    }
}
