//! The fold of `attribution`: columns customer, ts, touch, is a goal, amount.

use super::Folding;
use super::labels::LabelNames;
use super::rows::{CustomerRows, steps};
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema, SchemaRef};
use datafusion::error::Result;
use habitue_udf::attribution::{Attribution, AttributionRule, Goal, Rest, TouchRows};
use habitue_udf::true_rows;
use std::sync::Arc;

/// Shares of goals are billionths.
const SHARE: DataType = DataType::Decimal128(38, 9);

/// Shares goals among touches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) struct AttributionFold {
    pub(crate) rule: AttributionRule,
    /// How many digits of amounts stand behind the point.
    pub(crate) scale: i8,
}

impl AttributionFold {
    /// `touch, conversions, amount, customers`.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("touch", DataType::Utf8, true),
            Field::new("conversions", SHARE, false),
            Field::new("amount", DataType::Decimal128(38, self.scale), false),
            Field::new("customers", DataType::Int64, false),
        ]))
    }

    pub(super) fn start(&self) -> Box<dyn Folding> {
        Box::new(Shares {
            schema: self.schema(),
            attribution: Attribution::new(self.rule),
            names: LabelNames::default(),
            goals: Vec::new(),
        })
    }
}

struct Shares {
    schema: SchemaRef,
    attribution: Attribution,
    names: LabelNames,
    /// Those of the batch at hand.
    goals: Vec<Goal>,
}

/// The goals of a batch; what has no time is none.
fn goals_of(columns: &[ArrayRef], ts: &Int64Array, goals: &mut Vec<Goal>) {
    let is_goal = true_rows(columns[3].as_boolean());
    let amounts = columns[4].as_primitive::<Decimal128Type>();
    // A goal without an amount is a goal.
    let amount = |row| if amounts.is_valid(row) { amounts.value(row) } else { 0 };
    let rows = is_goal.set_indices().filter(|&row| ts.is_valid(row));
    goals.clear();
    goals.extend(rows.map(|row| Goal { row, amount: amount(row) }));
}

impl Folding for Shares {
    fn add(&mut self, rows: &CustomerRows<'_>) -> Result<()> {
        let columns = rows.batch.columns();
        let ts = steps(&columns[1])?;
        let touches = self.names.of_events(&columns[2], &ts, self.attribution.names());
        goals_of(columns, &ts, &mut self.goals);
        let events = TouchRows { ts: ts.values(), touches };
        let mut goals = self.goals.as_slice();
        let ranges = rows.ranges.len();
        for (place, range) in rows.ranges.iter().enumerate() {
            if !range.continues {
                self.attribution.begin_customer();
            }
            let rows = range.rows.clone();
            // Before the rows of a customer may stand those of nobody.
            let others = goals.iter().take_while(|goal| goal.row < rows.start).count();
            let own = goals[others..].iter().take_while(|goal| goal.row < rows.end).count();
            let (own, later) = goals[others..].split_at(own);
            goals = later;
            let is_last = place + 1 == ranges;
            let rest = if is_last { Rest::MayGoOn } else { Rest::OthersOnly };
            self.attribution.observe_rows(&events, rows, own, rest);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.attribution.size()
    }

    fn finish(self: Box<Self>) -> Result<RecordBatch> {
        let credits = self.attribution.finish();
        let touches = credits.iter().map(|(touch, _)| touch.as_deref());
        let decimals = |values: Vec<i128>, column: usize| -> Result<ArrayRef> {
            let values = Decimal128Array::from(values);
            Ok(Arc::new(values.with_data_type(self.schema.field(column).data_type().clone())))
        };
        let shares = credits.iter().map(|(_, credit)| credit.shares).collect();
        let amounts = credits.iter().map(|(_, credit)| credit.amount).collect();
        let customers = credits.iter().map(|(_, credit)| credit.customers);
        let customers = customers.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(touches.collect::<StringArray>()),
            decimals(shares, 1)?,
            decimals(amounts, 2)?,
            Arc::new(Int64Array::from_iter_values(customers)),
        ];
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}
