//! Filters about label columns: they are decided label by label, not row by row.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use habitue_storage::event::LABELS;
use std::sync::Arc;

/// A filter that the scan applies itself: rows pass it that pass one of its tests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LabelFilter {
    filter: Expr,
    tests: Vec<(String, Expr)>,
}

/// The label column of a test, and the test; its column 0 is the label.
pub(crate) type LabelTest = (String, Arc<dyn PhysicalExpr>);

impl LabelFilter {
    /// The same as this filter, when each of its alternatives is about one label column.
    pub(crate) fn of(filter: &Expr) -> Option<Self> {
        let mut tests = Vec::<(String, Expr)>::new();
        for alternative in split_binary(filter, Operator::Or) {
            let label = label_of(alternative)?;
            match tests.iter_mut().find(|(known, _)| known == label) {
                Some((_, test)) => *test = test.clone().or(alternative.clone()),
                None => tests.push((label.to_owned(), alternative.clone())),
            }
        }
        Some(Self { filter: filter.clone(), tests })
    }

    /// As it was written.
    pub(crate) fn expression(&self) -> &Expr {
        &self.filter
    }

    /// The columns that it is about.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|(label, _)| label.as_str())
    }

    /// Its tests over batches of labels.
    pub(crate) fn planned(&self, state: &dyn Session) -> Result<Vec<LabelTest>> {
        let planned = |(name, test): &(String, Expr)| {
            let label = Schema::new(vec![Field::new(name, DataType::Utf8View, true)]);
            // The query's name of the table says nothing to this schema.
            let test = unnormalize_col(test.clone());
            let test = state.create_physical_expr(test, &DFSchema::try_from(label)?)?;
            Ok((name.clone(), test))
        };
        self.tests.iter().map(planned).collect()
    }
}

/// The label column that a test is about, when it is about nothing else.
fn label_of(filter: &Expr) -> Option<&str> {
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
    use super::{LabelFilter, label_of};
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

    #[test]
    fn alternatives_may_be_about_different_labels() {
        let bought = col("event").eq(lit("buy"));
        let came = col("channel").is_not_null();
        let viewed = col("event").eq(lit("view"));
        let filter = bought.clone().or(came.clone()).or(viewed.clone());
        let tests = vec![("event".into(), bought.clone().or(viewed)), ("channel".into(), came)];
        assert_eq!(LabelFilter::of(&filter), Some(LabelFilter { filter, tests }));
        assert_eq!(LabelFilter::of(&bought.or(col("amount").gt(lit(1)))), None);
    }
}
