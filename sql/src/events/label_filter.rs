//! Filters about one label column: they are decided label by label, not row by row.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use habitue_storage::event::LABELS;

/// The label column that a filter is about, when it is about nothing else; such a filter the scan
/// applies itself.
pub(crate) fn label_of(filter: &Expr) -> Option<&str> {
    let depends_on_more = |part: &Expr| {
        matches!(
            part,
            Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        )
    };
    let found = filter.exists(|part| Ok(depends_on_more(part) || part.is_volatile_node()));
    if found.unwrap_or(true) {
        return None;
    }
    let mut columns = filter.column_refs().into_iter();
    match (columns.next(), columns.next()) {
        (Some(column), None) => LABELS.contains(&column.name()).then_some(column.name()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::label_of;
    use datafusion::prelude::{col, in_list, lit, random};

    #[test]
    fn only_filters_about_one_label_are_decided_by_label() {
        assert_eq!(label_of(&col("event").eq(lit("buy"))), Some("event"));
        let either = in_list(col("channel"), vec![lit("web")], false).or(col("channel").is_null());
        assert_eq!(label_of(&either), Some("channel"));
        assert_eq!(label_of(&col("event").eq(col("channel"))), None);
        assert_eq!(label_of(&col("amount").gt(lit(1))), None);
        assert_eq!(label_of(&lit(true)), None);
        let sometimes = col("event").eq(lit("buy")).and(random().gt(lit(0.5)));
        assert_eq!(label_of(&sometimes), None);
    }
}
