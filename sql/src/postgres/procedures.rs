//! Procedures of types by their names. Postgres has numbers in `pg_type.typinput` and shows names;
//! here the names stand there, so `typinput = 'array_in'::regproc` compares names.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Statement, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// Puts names in the place of casts to `regproc` that are compared with a procedure of a type.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Procedures);
}

struct Procedures;

impl VisitorMut for Procedures {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } =
            expression
        {
            name_instead(left, right);
            name_instead(right, left);
        }
        ControlFlow::Continue(())
    }
}

/// Puts a name in the place of a cast that is compared with this column.
fn name_instead(column: &Expr, procedure: &mut Expr) {
    if is_procedure_of_type(column)
        && let Some(name) = name_of(procedure)
    {
        *procedure = Expr::value(Value::SingleQuotedString(name));
    }
}

/// `typinput`, `t.typsend` and the like.
fn is_procedure_of_type(expression: &Expr) -> bool {
    let name = match expression {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    let columns = ["input", "output", "receive", "send", "modin", "modout", "analyze"];
    let name = name.map(|name| name.value.to_lowercase());
    name.as_deref()
        .and_then(|name| name.strip_prefix("typ"))
        .is_some_and(|name| columns.contains(&name))
}

/// The name in `'schema.name'::regproc`, as it is shown.
fn name_of(expression: &Expr) -> Option<String> {
    let Expr::Cast { expr, data_type, .. } = expression else {
        return None;
    };
    let to = data_type.to_string().to_lowercase();
    let Expr::Value(value) = expr.as_ref() else {
        return None;
    };
    match &value.value {
        Value::SingleQuotedString(name) if to.trim_start_matches("pg_catalog.") == "regproc" => {
            Some(name.trim_start_matches("pg_catalog.").to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn rewritten(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        rewrite(&mut statements[0]);
        statements[0].to_string()
    }

    #[test]
    fn only_what_is_compared_with_a_procedure_of_a_type_becomes_a_name() {
        let asked = "SELECT t.typinput = 'pg_catalog.array_in'::regproc FROM pg_type AS t";
        assert_eq!(rewritten(asked), "SELECT t.typinput = 'array_in' FROM pg_type AS t");
        let turned = "SELECT 'array_in'::REGPROC <> typinput";
        assert_eq!(rewritten(turned), "SELECT 'array_in' <> typinput");
        let number = "SELECT oid = 'array_in'::REGPROC FROM pg_proc";
        assert_eq!(rewritten(number), number);
    }
}
