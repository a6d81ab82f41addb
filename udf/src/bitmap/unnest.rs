//! `FROM unnest_bitmap(b)`: one row per element, smallest first.
//!
//! ```sql
//! SELECT unnest_bitmap FROM unnest_bitmap(bitmap_from_array([9, 4]));
//! +---------------+
//! | unnest_bitmap |
//! +---------------+
//! | 4             |
//! | 9             |
//! +---------------+
//! ```
//!
//! It is written as `UNNEST(bitmap_to_array(b))` before planning, so everything that is known about
//! UNNEST holds. For a column of bitmaps: `SELECT unnest(bitmap_to_array(members)) FROM segments`.

use datafusion::common::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    TableAlias, TableAliasColumnDef, TableFactor,
};

use crate::arguments::Wording;

const WORDING: Wording =
    Wording { function: "unnest_bitmap", example: "FROM unnest_bitmap(bitmap_from_array([1, 2]))" };

/// Plans `unnest_bitmap` where a table may stand.
#[derive(Debug)]
pub struct UnnestBitmap;

impl RelationPlanner for UnnestBitmap {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (args, alias) = match relation {
            TableFactor::Table { ref name, args: Some(_), .. }
            | TableFactor::Function { ref name, .. }
                if !is_unnest_bitmap(name) =>
            {
                return Ok(RelationPlanning::Original(Box::new(relation)));
            }
            TableFactor::Table { args: Some(args), alias, .. } => (args.args, alias),
            TableFactor::Function { args, alias, .. } => (args, alias),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        if args.len() != 1 {
            let came = format!("{} arguments", args.len());
            return Err(WORDING.wrong("b", came, "one bitmap"));
        }
        let plan = context.plan(TableFactor::UNNEST {
            alias: Some(with_column_name(alias)),
            array_exprs: vec![to_array(args)],
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: false,
        })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn is_unnest_bitmap(name: &ObjectName) -> bool {
    name.to_string().eq_ignore_ascii_case(WORDING.function)
}

fn with_column_name(alias: Option<TableAlias>) -> TableAlias {
    let column = || vec![TableAliasColumnDef::from_name(WORDING.function)];
    match alias {
        Some(alias) if !alias.columns.is_empty() => alias,
        Some(alias) => TableAlias { columns: column(), ..alias },
        None => TableAlias {
            explicit: true,
            name: Ident::new(WORDING.function),
            columns: column(),
            at: None,
        },
    }
}

fn to_array(args: Vec<FunctionArg>) -> Expr {
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("bitmap_to_array")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
