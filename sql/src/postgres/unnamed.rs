//! Columns without a name. Postgres lets several of them be alike, such as `SELECT NULL, NULL`; the
//! engine wants different names.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::ast::{
    Ident, Select, SelectItem, Statement, Value, VisitMut, VisitorMut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Gives literals a name that stand in a `SELECT` again.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Literals);
}

struct Literals;

impl VisitorMut for Literals {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut known = HashSet::new();
        for (place, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::UnnamedExpr(expression) = item
                && let Expr::Value(value) = &*expression
                && !matches!(value.value, Value::Placeholder(_))
                && !known.insert(value.to_string())
            {
                let alias = Ident::with_quote('"', format!("?column? {}", place + 1));
                *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn literals_that_stand_there_again_get_a_name() {
        let asked = "SELECT NULL, 1, NULL, proname, NULL AS a FROM pg_proc";
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, asked).unwrap();
        rewrite(&mut statements[0]);
        let named = "SELECT NULL, 1, NULL AS \"?column? 3\", proname, NULL AS a FROM pg_proc";
        assert_eq!(statements[0].to_string(), named);
    }
}
