//! Tests of labels above a walk are answered by the walk: once per label, not once per row.
//!
//! `count(*) FILTER (WHERE event = 'buy')` compares texts for every row. Below an aggregation, a
//! projection or a filter, every expression over one label column becomes a column of the walk, and
//! columns that are needed no more are left out.

use crate::walk::aggregate::{CountedAggregate, CustomerAggregateExec};
use crate::walk::exec::CustomerWalkExec;
use crate::walk::output::{LabelExpression, WalkColumn};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use std::collections::BTreeSet;
use std::sync::Arc;

type Expression = Arc<dyn PhysicalExpr>;
type Plan = Arc<dyn ExecutionPlan>;

/// An expression over one label column, by its place in a node's output.
#[derive(Clone)]
struct Wish {
    column: usize,
    expression: Expression,
    /// What the column to come is called, in all nodes down to the walk: what the expression is called
    /// changes with the places of its columns.
    name: String,
}

/// The same aggregation over a walk that answers its tests of labels.
pub(crate) fn with_label_columns(plan: CustomerAggregateExec) -> Result<CustomerAggregateExec> {
    let mut expressions = vec![plan.key().clone()];
    for aggregate in plan.aggregates() {
        expressions.extend(aggregate.arguments.iter().chain(&aggregate.filter).cloned());
    }
    let Some((input, mut expressions)) = answered(plan.input(), &expressions)? else {
        return Ok(plan);
    };
    let key = expressions.remove(0);
    let mut placed = expressions.into_iter();
    let aggregates = plan.aggregates().iter().map(|aggregate| CountedAggregate {
        arguments: placed.by_ref().take(aggregate.arguments.len()).collect(),
        filter: aggregate.filter.as_ref().and_then(|_| placed.next()),
        ..aggregate.clone()
    });
    let aggregates = aggregates.collect();
    Ok(plan.over(input, key, aggregates))
}

/// The same projection over a walk that answers its tests of labels, if it has any.
pub(crate) fn projection_of_labels(projection: &ProjectionExec) -> Result<Option<Plan>> {
    let columns = projection.expr();
    let expressions = columns.iter().map(|column| column.expr.clone()).collect::<Vec<_>>();
    let Some((input, expressions)) = answered(projection.input(), &expressions)? else {
        return Ok(None);
    };
    let columns = expressions.into_iter().zip(columns);
    let columns =
        columns.map(|(expr, column)| ProjectionExpr { expr, alias: column.alias.clone() });
    Ok(Some(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), input)?)))
}

/// The same filter over a walk that answers its tests of labels, if it has any.
pub(crate) fn filter_of_labels(filter: &FilterExec) -> Result<Option<Plan>> {
    if filter.fetch().is_some() {
        return Ok(None);
    }
    let width = filter.schema().fields().len();
    let given = (0..width).map(|column| -> Expression {
        let place = input_place(filter, column);
        Arc::new(Column::new(filter.schema().field(column).name(), place))
    });
    let expressions = std::iter::once(filter.predicate().clone()).chain(given);
    let Some((input, mut placed)) = answered(filter.input(), &expressions.collect::<Vec<_>>())?
    else {
        return Ok(None);
    };
    let predicate = placed.remove(0);
    let given = placed.iter().filter_map(|column| column.downcast_ref::<Column>());
    let given = given.map(Column::index).collect();
    let filter = FilterExecBuilder::new(predicate, input).apply_projection(Some(given))?.build()?;
    Ok(Some(Arc::new(filter)))
}

/// A label column as numbers and their texts: an expression that a walk answers without a look at
/// the texts of rows. Other expressions stay as they are.
pub(crate) fn numbered_labels(input: &Plan, expressions: &mut [Expression]) {
    for expression in expressions {
        let column = expression.downcast_ref::<Column>().map(Column::index);
        if column.is_some_and(|column| is_label(input, column)) {
            *expression = Arc::new(CastExpr::new(expression.clone(), numbered_label_type(), None));
        }
    }
}

/// How labels look as numbers and their texts.
pub(crate) fn numbered_label_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The plan below a node with columns for its tests of labels, without those that are needed no
/// more, and the node's expressions over it; `None` where there is nothing to gain.
pub(crate) fn answered(
    input: &Plan,
    expressions: &[Expression],
) -> Result<Option<(Plan, Vec<Expression>)>> {
    let mut wishes = Vec::new();
    let moved = expressions.iter().map(|expression| moved(expression, input, &mut wishes));
    let moved = moved.collect::<Result<Vec<_>>>()?;
    if wishes.is_empty() {
        return Ok(None);
    }
    let Some(input) = extended(input, &wishes)? else {
        return Ok(None);
    };
    let needed = moved.iter().flat_map(columns_in).collect();
    let (input, places) = narrowed(&input, &needed)?;
    let placed = moved.iter().map(|expression| with_places(expression, &places));
    Ok(Some((input, placed.collect::<Result<_>>()?)))
}

/// The expression with columns to come in the place of its tests of labels.
fn moved(expression: &Expression, input: &Plan, wishes: &mut Vec<Wish>) -> Result<Expression> {
    let first = input.schema().fields().len();
    let moved = Arc::clone(expression).transform_down(|part| {
        let Some(column) = label_in(&part, input) else {
            return Ok(Transformed::no(part));
        };
        let known = wishes.iter().position(|wish| wish.expression.eq(&part));
        let place = known.unwrap_or(wishes.len());
        let name = part.to_string();
        if known.is_none() {
            wishes.push(Wish { column, expression: part, name: name.clone() });
        }
        let column: Expression = Arc::new(Column::new(&name, first + place));
        Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
    });
    Ok(moved?.data)
}

/// The only column of an expression that is more than a column, when it is a label of a walk.
fn label_in(expression: &Expression, input: &Plan) -> Option<usize> {
    if expression.is::<Column>() {
        return None;
    }
    // What a dynamic filter says changes while the query runs.
    let changes =
        |part: &Expression| part.is_volatile_node() || part.is::<DynamicFilterPhysicalExpr>();
    let is_volatile = expression.exists(|part| Ok(changes(part)));
    let columns = columns_in(expression);
    let column = columns.first().copied().filter(|_| columns.len() == 1)?;
    (!is_volatile.unwrap_or(true) && is_label(input, column)).then_some(column)
}

fn is_label(plan: &Plan, column: usize) -> bool {
    if let Some(walk) = plan.downcast_ref::<CustomerWalkExec>() {
        let column = walk.columns().get(column);
        return matches!(column, Some(WalkColumn::Label(_) | WalkColumn::OfLabel(_)));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return is_label(filter.input(), input_place(filter, column));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = projection.expr().get(column);
        let below = below.and_then(|projected| projected.expr.downcast_ref::<Column>());
        return below.is_some_and(|below| is_label(projection.input(), below.index()));
    }
    false
}

/// Where a column of a filter's output stands in its input.
pub(super) fn input_place(filter: &FilterExec, column: usize) -> usize {
    let projection = filter.projection().as_ref();
    projection.map_or(column, |projection| projection[column])
}

/// The plan with one more column for each wish, after its own; `None` where there is no walk.
fn extended(plan: &Plan, wishes: &[Wish]) -> Result<Option<Plan>> {
    if let Some(walk) = plan.downcast_ref::<CustomerWalkExec>() {
        return Ok(Some(Arc::new(extended_walk(walk, wishes)?)));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let below = |wish: &Wish| below(wish, input_place(filter, wish.column));
        let wishes = wishes.iter().map(below).collect::<Result<Vec<_>>>()?;
        let Some(input) = extended(filter.input(), &wishes)? else {
            return Ok(None);
        };
        let (own, all) = (filter.input().schema().fields().len(), input.schema().fields().len());
        let given = (0..plan.schema().fields().len()).map(|column| input_place(filter, column));
        let given = given.chain(own..all).collect();
        let filter = FilterExecBuilder::new(filter.predicate().clone(), input)
            .apply_projection(Some(given))?
            .build()?;
        return Ok(Some(Arc::new(filter)));
    }
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
        return Ok(None);
    };
    let mut moved = Vec::new();
    for wish in wishes {
        let column = projection.expr().get(wish.column);
        let Some(column) = column.and_then(|column| column.expr.downcast_ref::<Column>()) else {
            return Ok(None);
        };
        moved.push(below(wish, column.index())?);
    }
    let Some(input) = extended(projection.input(), &moved)? else {
        return Ok(None);
    };
    let own = projection.input().schema().fields().len();
    let schema = input.schema();
    let more = schema.fields().iter().enumerate().skip(own).map(|(place, field)| {
        let expr: Expression = Arc::new(Column::new(field.name(), place));
        ProjectionExpr { expr, alias: field.name().clone() }
    });
    let columns = projection.expr().iter().cloned().chain(more).collect::<Vec<_>>();
    Ok(Some(Arc::new(ProjectionExec::try_new(columns, input)?)))
}

/// The wish in the words of the node below, where its column stands at this place.
fn below(wish: &Wish, column: usize) -> Result<Wish> {
    let mut places = vec![None; wish.column + 1];
    places[wish.column] = Some(column);
    let expression = with_places(&wish.expression, &places)?;
    Ok(Wish { column, expression, name: wish.name.clone() })
}

fn extended_walk(walk: &CustomerWalkExec, wishes: &[Wish]) -> Result<CustomerWalkExec> {
    let schema = walk.schema();
    let mut fields = schema.fields().to_vec();
    let mut columns = walk.columns().to_vec();
    for wish in wishes {
        let label: Expression = Arc::new(Column::new("label", 0));
        let (column, value) = match &columns[wish.column] {
            WalkColumn::Label(column) => (*column, label),
            WalkColumn::OfLabel(of) => (of.column, of.expression.clone()),
            _ => continue,
        };
        let data_type = wish.expression.data_type(&schema)?;
        let nullable = wish.expression.nullable(&schema)?;
        fields.push(Arc::new(Field::new(&wish.name, data_type, nullable)));
        let expression = Arc::clone(&wish.expression).transform_up(|part| {
            Ok(match part.is::<Column>() {
                true => Transformed::yes(value.clone()),
                false => Transformed::no(part),
            })
        });
        let expression = expression?.data;
        columns.push(WalkColumn::OfLabel(LabelExpression { column, expression }));
    }
    Ok(walk.with_columns(&Arc::new(Schema::new(fields)), columns))
}

/// The plan with only the columns that are needed, as far as that is easy, and where each of its
/// columns stands then.
fn narrowed(plan: &Plan, needed: &BTreeSet<usize>) -> Result<(Plan, Vec<Option<usize>>)> {
    let width = plan.schema().fields().len();
    let kept = needed.iter().copied().collect::<Vec<_>>();
    let places = places_of(&kept, width);
    if let Some(walk) = plan.downcast_ref::<CustomerWalkExec>() {
        let schema = Arc::new(walk.schema().project(&kept)?);
        let columns = kept.iter().map(|&column| walk.columns()[column].clone()).collect();
        return Ok((Arc::new(walk.with_columns(&schema, columns)), places));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let given = kept.iter().map(|&column| input_place(filter, column)).collect::<Vec<_>>();
        let mut below = columns_in(filter.predicate());
        below.extend(given.iter().copied());
        let (input, moved) = narrowed(filter.input(), &below)?;
        let given = given.iter().filter_map(|&column| moved[column]).collect::<Vec<_>>();
        let filter = FilterExecBuilder::new(with_places(filter.predicate(), &moved)?, input)
            .apply_projection(Some(given))?
            .build()?;
        return Ok((Arc::new(filter), places));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let columns = kept.iter().map(|&column| &projection.expr()[column]).collect::<Vec<_>>();
        let below = columns.iter().flat_map(|column| columns_in(&column.expr)).collect();
        let (input, moved) = narrowed(projection.input(), &below)?;
        let columns = columns.into_iter().map(|column| {
            let expr = with_places(&column.expr, &moved)?;
            Ok(ProjectionExpr { expr, alias: column.alias.clone() })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        return Ok((Arc::new(ProjectionExec::try_new(columns, input)?), places));
    }
    Ok((plan.clone(), (0..width).map(Some).collect()))
}

fn places_of(kept: &[usize], width: usize) -> Vec<Option<usize>> {
    let mut places = vec![None; width];
    for (place, &column) in kept.iter().enumerate() {
        places[column] = Some(place);
    }
    places
}

fn columns_in(expression: &Expression) -> BTreeSet<usize> {
    collect_columns(expression).iter().map(Column::index).collect()
}

/// The expression with its columns at other places.
fn with_places(expression: &Expression, places: &[Option<usize>]) -> Result<Expression> {
    let placed = Arc::clone(expression).transform(|part| {
        let column = part.downcast_ref::<Column>();
        let place = column.and_then(|column| places.get(column.index()).copied().flatten());
        Ok(match (column, place) {
            (Some(column), Some(place)) => {
                let column: Expression = Arc::new(Column::new(column.name(), place));
                Transformed::yes(column)
            }
            _ => Transformed::no(part),
        })
    });
    Ok(placed?.data)
}
