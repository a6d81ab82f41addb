//! `connected_components(relation, a, b)`: which values belong together over any number of links.
//!
//! ```sql
//! SELECT * FROM connected_components((VALUES (1, 2), (2, 3), (7, 8)), column1, column2);
//! -- id  component
//! --  1          1
//! --  2          1
//! --  3          1
//! --  7          7
//! --  8          7
//! ```
//!
//! Each row of the relation is a link between `a` and `b`, of any type that can be compared. A
//! component is called by its smallest value, so the answer does not depend on the order of the
//! rows. A row in which one side is NULL has a value without a link; with two NULLs it has nothing.

mod exec;
mod node;
mod numbering;
mod shards;
mod value_bytes;

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use node::ComponentsNode;

pub(crate) use node::ComponentsPlanner;

pub(super) const SIGNATURE: Signature = Signature {
    name: "connected_components",
    positional: Positional::RelationAndParameters,
    parameters: &[
        Parameter::new("a", "a column that can be compared with b", "a => device_id"),
        Parameter::new("b", "a column that can be compared with a", "b => user_id"),
    ],
    example: "connected_components(friendships, person, friend)",
};

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let (a, b) = (call.column("a", "a")?, call.column("b", "b")?);
    let (a_type, b_type) = (plain(call, &a)?, plain(call, &b)?);
    let Some(common) = common_type(&a_type, &b_type) else {
        return call.wrong("b", format!("{b} of type {b_type} beside {a} of type {a_type}"));
    };
    let links = LogicalPlanBuilder::from(call.relation())
        .project(vec![cast(a, common.clone()).alias("a"), cast(b, common).alias("b")])?
        .build()?;
    ComponentsNode::plan(links)
}

/// The type of the values themselves, not of how they are stored.
fn plain(call: &Call<'_>, side: &Expr) -> Result<DataType> {
    let stored = call.type_of(side)?;
    let value = if let DataType::Dictionary(_, value) = stored { *value } else { stored };
    // What the operator takes: a text that is read as a view would be copied to become another.
    let is_text = matches!(value, DataType::Utf8 | DataType::LargeUtf8);
    Ok(if is_text { DataType::Utf8View } else { value })
}

/// A number beside a text would be read as one, and fail on the first that is none.
fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    let can_be_named = |common: &DataType| !common.is_nested() && !common.is_null();
    let is_same = a == b || (a.is_integer() && b.is_integer()) || a.is_null() || b.is_null();
    let common = is_same.then(|| comparison_coercion(a, b))?;
    common.filter(can_be_named)
}
