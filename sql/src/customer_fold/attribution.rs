//! The fold of `attribution`: columns customer, ts, touch, is a goal, amount.

use super::Folding;
use super::labels::LabelNames;
use super::rows::{CustomerRows, steps};
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema, SchemaRef};
use datafusion::error::Result;
use habitue_udf::Names;
use habitue_udf::attribution::{Attribution, AttributionRule, TouchEvent};
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
        })
    }
}

struct Shares {
    schema: SchemaRef,
    attribution: Attribution,
    names: LabelNames,
}

impl Folding for Shares {
    fn add(&mut self, rows: &CustomerRows<'_>) -> Result<()> {
        let columns = rows.batch.columns();
        let ts = steps(&columns[1])?;
        let touches = self.names.of(&columns[2], self.attribution.names());
        let goals = columns[3].as_boolean();
        let is_goal = match goals.null_count() {
            0 => goals.values().clone(),
            _ => prep_null_mask_filter(goals).values().clone(),
        };
        let amounts = columns[4].as_primitive::<Decimal128Type>();
        for range in &rows.ranges {
            if !range.continues {
                self.attribution.begin_customer();
            }
            for row in range.rows.clone() {
                let is_goal = is_goal.value(row);
                let touch = Some(touches[row]).filter(|&touch| touch != Names::NONE);
                if (touch.is_none() && !is_goal) || ts.is_null(row) {
                    continue;
                }
                // A goal without an amount is a goal.
                let amount = || if amounts.is_valid(row) { amounts.value(row) } else { 0 };
                let goal = is_goal.then(amount);
                self.attribution.observe(TouchEvent { ts: ts.value(row), touch, goal });
            }
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
