//! Tests of labels above a walk are answered by the walk: once per label, not once per row.
//!
//! `count(*) FILTER (WHERE event = 'buy')` compares texts for every row. Below an aggregation,
//! every expression over one label column becomes a column of the walk, and columns that are needed
//! no more are left out.

use crate::walk::aggregate::{CountedAggregate, CustomerAggregateExec};
use crate::walk::exec::CustomerWalkExec;
use crate::walk::output::{LabelExpression, WalkColumn};
use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
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
}

/// The same aggregation over a walk that answers its tests of labels.
pub(crate) fn with_label_columns(plan: CustomerAggregateExec) -> Result<CustomerAggregateExec> {
    let input = plan.input().clone();
    let mut wishes = Vec::new();
    let mut aggregates = Vec::new();
    for aggregate in plan.aggregates() {
        let mut moved = |expression: &Expression| moved(expression, &input, &mut wishes);
        let arguments = aggregate.arguments.iter().map(&mut moved).collect::<Result<Vec<_>>>()?;
        let filter = aggregate.filter.as_ref().map(&mut moved).transpose()?;
        aggregates.push(CountedAggregate { arguments, filter, ..aggregate.clone() });
    }
    if wishes.is_empty() {
        return Ok(plan);
    }
    let Some(input) = extended(&input, &wishes)? else {
        return Ok(plan);
    };
    let mut needed = columns_in(plan.key());
    for aggregate in &aggregates {
        let expressions = aggregate.arguments.iter().chain(&aggregate.filter);
        needed.extend(expressions.flat_map(columns_in));
    }
    let (input, places) = narrowed(&input, &needed)?;
    for aggregate in &mut aggregates {
        for expression in aggregate.arguments.iter_mut().chain(&mut aggregate.filter) {
            *expression = with_places(expression, &places)?;
        }
    }
    let key = with_places(plan.key(), &places)?;
    Ok(plan.over(input, key, aggregates))
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
            wishes.push(Wish { column, expression: part });
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
    let is_volatile = expression.exists(|part| Ok(part.is_volatile_node()));
    let columns = columns_in(expression);
    let column = columns.first().copied().filter(|_| columns.len() == 1)?;
    (!is_volatile.unwrap_or(true) && is_label(input, column)).then_some(column)
}

fn is_label(plan: &Plan, column: usize) -> bool {
    if let Some(walk) = plan.downcast_ref::<CustomerWalkExec>() {
        return matches!(walk.columns().get(column), Some(WalkColumn::Label(_)));
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
fn input_place(filter: &FilterExec, column: usize) -> usize {
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
    Ok(Wish { column, expression: with_places(&wish.expression, &places)? })
}

fn extended_walk(walk: &CustomerWalkExec, wishes: &[Wish]) -> Result<CustomerWalkExec> {
    let schema = walk.schema();
    let mut fields = schema.fields().to_vec();
    let mut columns = walk.columns().to_vec();
    for wish in wishes {
        let WalkColumn::Label(column) = columns[wish.column] else {
            continue;
        };
        let data_type = wish.expression.data_type(&schema)?;
        let nullable = wish.expression.nullable(&schema)?;
        fields.push(Arc::new(Field::new(wish.expression.to_string(), data_type, nullable)));
        let mut places = vec![None; wish.column + 1];
        places[wish.column] = Some(0);
        let expression = with_places(&wish.expression, &places)?;
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
