//! `intersect_count(bitmap, key, v1, v2, …)`: how many elements stand under all of these keys.
//!
//! ```sql
//! SELECT intersect_count(members, day, 1, 2) AS came_on_both_days
//! FROM (VALUES (1, bitmap_from_array([7, 8])), (2, bitmap_from_array([8])),
//!              (2, bitmap_from_array([9]))) AS visits(day, members);
//! +-------------------+
//! | came_on_both_days |
//! +-------------------+
//! | 1                 |
//! +-------------------+
//! ```
//!
//! The rows of each key are united, then the unions are intersected. NULL keys and NULL bitmaps are
//! skipped. Elsewhere: StarRocks and Doris `intersect_count`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ReversedUDAF, Signature, Volatility,
};

use crate::arguments::{self, Argument, Wording};
use crate::bitmap::aggregate::Input;
use crate::bitmap::columns::{binary_column, check_input, decode};
use crate::bitmap::portable::Bitmap;

const WORDING: Wording = Wording {
    function: "intersect_count",
    example: "intersect_count(members, day, DATE '2025-01-01', DATE '2025-01-02')",
};

/// The aggregate function `intersect_count`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IntersectCount {
    signature: Signature,
}

impl Default for IntersectCount {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

/// The key values, in the type of the key column.
fn keys(arguments: &[Argument]) -> Result<Vec<ScalarValue>> {
    let key_type = &arguments[1].data_type;
    let wanted = format!("a value of type {key_type}");
    let key = |(index, argument): (usize, &Argument)| {
        let name = format!("v{}", index + 1);
        let value = WORDING.literal(&name, argument, &wanted)?;
        value.cast_to(key_type).map_err(|_| WORDING.wrong(name, value, &wanted))
    };
    arguments[2..].iter().enumerate().map(key).collect()
}

impl AggregateUDFImpl for IntersectCount {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.len() < 3 {
            let came = format!("{} arguments", types.len());
            return Err(WORDING.wrong("v1", came, "a bitmap, a key column and key values"));
        }
        check_input(Input::Bitmap, &types[0], WORDING)?;
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(arguments::check_aggregate(|arguments| keys(arguments).map(|_| ())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let keys = keys(&arguments::of_aggregate(&args))?;
        let unions = vec![Bitmap::default(); keys.len()];
        Ok(Box::new(IntersectCountAccumulator { keys, unions }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |index| {
            let name = format_state_name(args.name, &format!("union_{index}"));
            Arc::new(Field::new(name, DataType::Binary, false))
        };
        Ok((2..args.input_fields.len()).map(field).collect())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

#[derive(Debug)]
struct IntersectCountAccumulator {
    keys: Vec<ScalarValue>,
    unions: Vec<Bitmap>,
}

fn unite(union: &mut Bitmap, column: &ArrayRef, chosen: Option<&BooleanArray>) -> Result<()> {
    let bytes = binary_column(column)?;
    for row in 0..bytes.len() {
        let counts = chosen.is_none_or(|chosen| chosen.is_valid(row) && chosen.value(row));
        if bytes.is_valid(row) && counts {
            union.union_with(&decode(bytes.value(row), WORDING)?);
        }
    }
    Ok(())
}

impl Accumulator for IntersectCountAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (key, union) in self.keys.iter().zip(&mut self.unions) {
            let chosen = eq(&values[1], &key.to_scalar()?)?;
            unite(union, &values[0], Some(&chosen))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (first, others) = self.unions.split_at(1);
        let mut common = first.first().cloned().unwrap_or_default();
        others.iter().for_each(|union| common.intersect_with(union));
        Ok(ScalarValue::Int64(Some(common.len().cast_signed())))
    }

    fn size(&self) -> usize {
        let keys: usize = self.keys.iter().map(ScalarValue::size).sum();
        size_of_val(self) + keys + self.unions.iter().map(Bitmap::size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.unions.iter().map(|union| ScalarValue::Binary(Some(union.to_bytes()))).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (union, column) in self.unions.iter_mut().zip(states) {
            unite(union, column, None)?;
        }
        Ok(())
    }
}
