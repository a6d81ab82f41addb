//! Arguments that must be known when a query is planned, and errors that say what is wrong.

use std::fmt::Display;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, WindowFunctionSimplification,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr};
use datafusion::physical_expr::PhysicalExpr;

/// One argument of a call: its type, and its value when that is a literal.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) data_type: DataType,
    pub(crate) literal: Option<ScalarValue>,
}

/// How the errors of one SQL function name it, and the call they show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    pub(crate) function: &'static str,
    pub(crate) example: &'static str,
}

impl Wording {
    /// The error for an argument that cannot be used: which, what came, what is wanted.
    pub(crate) fn wrong(
        &self,
        argument: impl Display,
        came: impl Display,
        wanted: impl Display,
    ) -> DataFusionError {
        let Self { function, example } = self;
        DataFusionError::Plan(format!(
            "{function}: wrong argument `{argument}`. came={came}, wanted={wanted}, \
             example={example}"
        ))
    }

    /// The argument's value; an error when it is a column, which is not known in time.
    pub(crate) fn literal<'a>(
        &self,
        name: &str,
        argument: &'a Argument,
        wanted: &str,
    ) -> Result<&'a ScalarValue> {
        argument.literal.as_ref().ok_or_else(|| {
            let came = format!("an expression of type {}", argument.data_type);
            self.wrong(name, came, format!("a literal: {wanted}"))
        })
    }

    /// The argument's text; an error when it is no literal text.
    pub(crate) fn text<'a>(
        &self,
        name: &str,
        argument: &'a Argument,
        wanted: &str,
    ) -> Result<&'a str> {
        let value = self.literal(name, argument, wanted)?;
        value.try_as_str().flatten().ok_or_else(|| self.wrong(name, value, wanted))
    }
}

/// Whether values of this type are text.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The arguments as the running aggregate sees them.
pub(crate) fn of_aggregate(args: &AccumulatorArgs<'_>) -> Vec<Argument> {
    of_physical(args.exprs, args.expr_fields)
}

/// The arguments as the physical plan sees them.
pub(crate) fn of_physical(exprs: &[Arc<dyn PhysicalExpr>], fields: &[FieldRef]) -> Vec<Argument> {
    let pairs = exprs.iter().zip(fields);
    pairs
        .map(|(expr, field)| Argument {
            data_type: field.data_type().clone(),
            literal: physical_literal(expr),
        })
        .collect()
}

/// A column fails to evaluate without rows, or answers an array: neither is a literal.
fn physical_literal(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expr.evaluate(&nothing) {
        Ok(ColumnarValue::Scalar(value)) => Some(value),
        _ => None,
    }
}

/// Checks an aggregate's literals while the query is planned, not when its first row arrives.
pub(crate) fn check_aggregate(
    check: fn(&[Argument]) -> Result<()>,
) -> AggregateFunctionSimplification {
    Box::new(move |call, context| {
        check_planned(&call.params.args, context, check)?;
        Ok(Expr::AggregateFunction(call))
    })
}

/// Checks a window function's literals while the query is planned.
pub(crate) fn check_window(check: fn(&[Argument]) -> Result<()>) -> WindowFunctionSimplification {
    Box::new(move |call, context| {
        check_planned(&call.params.args, context, check)?;
        Ok(Expr::from(call))
    })
}

fn check_planned(
    exprs: &[Expr],
    context: &SimplifyContext,
    check: fn(&[Argument]) -> Result<()>,
) -> Result<()> {
    // A prepared statement is planned before its parameters are known.
    for expr in exprs {
        if expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_))))? {
            return Ok(());
        }
    }
    let arguments = exprs
        .iter()
        .map(|expr| {
            let data_type = context.get_data_type(expr)?;
            Ok(Argument { data_type, literal: planned_literal(expr) })
        })
        .collect::<Result<Vec<_>>>()?;
    check(&arguments)
}

fn planned_literal(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => planned_literal(&alias.expr),
        _ => None,
    }
}
