//! The functions of a bitmap in each row, as DataFusion calls them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Int64Array, Int64Builder,
    ListArray, ListBuilder, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::arguments::Wording;
use crate::bitmap::columns::{binary_column, decode, number_column};
use crate::bitmap::definition::{Compute, DEFINITIONS, Definition, Parameter};
use crate::bitmap::portable::Bitmap;

/// The most elements that one batch of `bitmap_to_array` may make: 1 GiB. A bitmap of a few bytes
/// can hold four billion elements.
const ELEMENTS_MAX: u64 = 1 << 27;

/// One of the bitmap functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct BitmapFunction {
    index: usize,
    signature: Signature,
}

/// All of them.
pub(super) fn functions() -> Vec<BitmapFunction> {
    let signature = || Signature::variadic_any(Volatility::Immutable);
    (0..DEFINITIONS.len()).map(|index| BitmapFunction { index, signature: signature() }).collect()
}

impl BitmapFunction {
    fn definition(&self) -> &'static Definition {
        &DEFINITIONS[self.index]
    }

    /// Whether the argument is a fold whose arguments may as well be this function's.
    fn continues(&self, argument: &Expr) -> bool {
        matches!(argument, Expr::ScalarFunction(set) if self.takes_in(set.name()))
    }

    /// The order of arguments does not matter to a fold that takes any number of them.
    fn takes_in(&self, name: &str) -> bool {
        let own = self.name();
        self.definition().takes_more() && own.strip_suffix("_count").unwrap_or(own) == name
    }
}

impl ScalarUDFImpl for BitmapFunction {
    fn name(&self) -> &str {
        self.definition().name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.definition().check(types)?;
        Ok(self.definition().answer_type())
    }

    /// `bitmap_count(bitmap_and(a, b))` is `bitmap_and_count(a, b)`, and `bitmap_and(bitmap_and(a, b), c)`
    /// is `bitmap_and(a, b, c)`: no bitmap is written down only to be read again.
    fn simplify(
        &self,
        arguments: Vec<Expr>,
        _context: &SimplifyContext,
    ) -> Result<ExprSimplifyResult> {
        if let [Expr::ScalarFunction(set)] = arguments.as_slice()
            && self.name() == "bitmap_count"
            && let Some(counting) = counting(set.name())
        {
            let counting = ScalarUDF::from(counting).call(set.args.clone());
            return Ok(ExprSimplifyResult::Simplified(counting));
        }
        if !arguments.iter().any(|argument| self.continues(argument)) {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        let flat = arguments.into_iter().flat_map(|argument| match argument {
            Expr::ScalarFunction(set) if self.takes_in(set.name()) => set.args,
            other => vec![other],
        });
        let Self { index, signature } = self;
        let own = ScalarUDF::from(Self { index: *index, signature: signature.clone() });
        Ok(ExprSimplifyResult::Simplified(own.call(flat.collect())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let definition = self.definition();
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args
            .args
            .iter()
            .enumerate()
            .map(|(index, arg)| Column::new(definition, definition.parameter(index), arg))
            .collect::<Result<Vec<_>>>()?;
        let rows = Rows { columns, count: rows, wording: definition.wording() };
        let answer = rows.run(definition.compute)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

/// The function that counts what this one makes of its bitmaps, if it is one of ours.
fn counting(name: &str) -> Option<BitmapFunction> {
    let makes = DEFINITIONS.iter().find(|definition| definition.name == name)?;
    let Compute::Fold(_) = makes.compute else {
        return None;
    };
    let counts = |function: &BitmapFunction| function.name().strip_suffix("_count") == Some(name);
    functions().into_iter().find(counts)
}

/// Answers one row after the other; a row with a NULL argument is NULL.
struct Rows {
    columns: Vec<Column>,
    count: usize,
    wording: Wording,
}

impl Rows {
    fn each<T>(
        mut self,
        mut answer: impl FnMut(&mut [Column], usize) -> Result<Option<T>>,
    ) -> Result<Vec<Option<T>>> {
        (0..self.count)
            .map(|row| match self.columns.iter().all(|column| column.is_valid(row)) {
                true => answer(&mut self.columns, row),
                false => Ok(None),
            })
            .collect()
    }

    fn run(self, compute: Compute) -> Result<ArrayRef> {
        let wording = self.wording;
        Ok(match compute {
            Compute::Cut(cut) => bytes_of(self.each(|columns, row| {
                let (first, second) = (columns[1].number(row), columns[2].number(row));
                Ok(Some(cut(columns[0].bitmap(row, wording)?, first, second).to_bytes()))
            })?),
            Compute::Fold(fold) => {
                bytes_of(self.each(|columns, row| {
                    Ok(Some(folded(columns, row, wording, fold)?.to_bytes()))
                })?)
            }
            Compute::FoldCount(fold) => numbers_of(self.each(|columns, row| {
                as_bigint(folded(columns, row, wording, fold)?.len(), wording).map(Some)
            })?),
            Compute::Measure(measure) => numbers_of(self.each(|columns, row| {
                let number = measure(columns[0].bitmap(row, wording)?);
                number.map(|number| as_bigint(number, wording)).transpose()
            })?),
            Compute::Compare(compare) => truths_of(self.each(|columns, row| {
                let [left, right] = columns else {
                    return Ok(None);
                };
                Ok(Some(compare(left.bitmap(row, wording)?, right.bitmap(row, wording)?)))
            })?),
            Compute::Contains => truths_of(self.each(|columns, row| {
                let number = u64::try_from(columns[1].number(row));
                let set = columns[0].bitmap(row, wording)?;
                Ok(Some(number.is_ok_and(|number| set.contains(number))))
            })?),
            Compute::ToArray => self.into_arrays()?,
            Compute::FromArray => {
                bytes_of(self.each(|columns, row| Ok(Some(columns[0].elements(row).to_bytes())))?)
            }
        })
    }

    fn into_arrays(mut self) -> Result<ArrayRef> {
        let mut lists = ListBuilder::new(Int64Builder::new());
        let mut elements = 0;
        for row in 0..self.count {
            if !self.columns[0].is_valid(row) {
                lists.append_null();
                continue;
            }
            let set = self.columns[0].bitmap(row, self.wording)?;
            elements += set.len();
            if elements > ELEMENTS_MAX {
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "{}: too many elements for one batch. most={ELEMENTS_MAX}, \
                     instead=sub_bitmap or bitmap_subset_limit, piece by piece",
                    self.wording.function
                )));
            }
            for element in set.iter() {
                lists.values().append_value(as_bigint(element, self.wording)?);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()))
    }
}

fn folded(
    columns: &mut [Column],
    row: usize,
    wording: Wording,
    fold: fn(&mut Bitmap, &Bitmap),
) -> Result<Bitmap> {
    let mut set = columns[0].bitmap(row, wording)?.clone();
    for column in &mut columns[1..] {
        fold(&mut set, column.bitmap(row, wording)?);
    }
    Ok(set)
}

fn as_bigint(number: u64, wording: Wording) -> Result<i64> {
    i64::try_from(number).map_err(|_| {
        DataFusionError::Execution(format!(
            "{}: element is no BIGINT. came={number}, largest={}",
            wording.function,
            i64::MAX
        ))
    })
}

fn bytes_of(rows: Vec<Option<Vec<u8>>>) -> ArrayRef {
    let mut bytes = BinaryBuilder::new();
    rows.into_iter().for_each(|row| bytes.append_option(row));
    Arc::new(bytes.finish())
}

fn numbers_of(rows: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(rows))
}

fn truths_of(rows: Vec<Option<bool>>) -> ArrayRef {
    Arc::new(BooleanArray::from(rows))
}

/// An argument's values; a constant has one row that stands for all.
enum Column {
    Bitmaps { bytes: BinaryArray, constant: bool, decoded: Option<(Vec<u8>, Bitmap)> },
    Numbers { values: Int64Array, constant: bool },
    Lists { lists: ListArray, numbers: UInt64Array, constant: bool },
}

impl Column {
    fn new(definition: &Definition, parameter: Parameter, arg: &ColumnarValue) -> Result<Self> {
        let constant = matches!(arg, ColumnarValue::Scalar(_));
        let values = match arg {
            ColumnarValue::Array(values) => Arc::clone(values),
            ColumnarValue::Scalar(value) => value.to_array()?,
        };
        Ok(match parameter {
            Parameter::Bitmap => {
                Self::Bitmaps { bytes: binary_column(&values)?, constant, decoded: None }
            }
            Parameter::Number => {
                let values = signed_column(&values, definition.wording())?;
                Self::Numbers { values, constant }
            }
            Parameter::Numbers => {
                let item = Arc::new(Field::new_list_field(DataType::Int64, true));
                let item = match values.data_type() {
                    DataType::List(item)
                    | DataType::LargeList(item)
                    | DataType::FixedSizeList(item, _) => Arc::clone(item),
                    _ => item,
                };
                let lists = cast(&values, &DataType::List(item))?.as_list::<i32>().clone();
                let numbers = number_column(lists.values(), definition.wording())?;
                Self::Lists { lists, numbers, constant }
            }
        })
    }

    /// Whether the row has a value.
    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Bitmaps { bytes, constant, .. } => bytes.is_valid(place(*constant, row)),
            Self::Numbers { values, constant } => values.is_valid(place(*constant, row)),
            Self::Lists { lists, constant, .. } => lists.is_valid(place(*constant, row)),
        }
    }

    /// The row's bitmap. The last one is kept: constants and joined segments repeat.
    fn bitmap(&mut self, row: usize, wording: Wording) -> Result<&Bitmap> {
        let no_bitmap = || DataFusionError::Internal(format!("{}: no bitmap", wording.function));
        let Self::Bitmaps { bytes, constant, decoded } = self else {
            return Err(no_bitmap());
        };
        let value = bytes.value(place(*constant, row));
        if decoded.as_ref().is_none_or(|(last, _)| last != value) {
            *decoded = Some((value.to_vec(), decode(value, wording)?));
        }
        decoded.as_ref().map(|(_, bitmap)| bitmap).ok_or_else(no_bitmap)
    }

    /// The row's list as a set; NULL elements are left out.
    fn elements(&self, row: usize) -> Bitmap {
        let Self::Lists { lists, numbers, constant } = self else {
            return Bitmap::default();
        };
        let offsets = lists.value_offsets();
        let row = place(*constant, row);
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        let present = range.filter(|&index| numbers.is_valid(index));
        present.map(|index| numbers.value(index)).collect()
    }

    fn number(&self, row: usize) -> i64 {
        match self {
            Self::Numbers { values, constant } => values.value(place(*constant, row)),
            _ => 0,
        }
    }
}

fn place(constant: bool, row: usize) -> usize {
    if constant { 0 } else { row }
}

/// Numbers beyond the largest BIGINT are no element that SQL can name: they count as the largest.
fn signed_column(column: &ArrayRef, wording: Wording) -> Result<Int64Array> {
    if column.data_type() == &DataType::UInt64 {
        let numbers = number_column(column, wording)?;
        return Ok(numbers.unary(|number| i64::try_from(number).unwrap_or(i64::MAX)));
    }
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    async fn answer(sql: &str) -> String {
        let context = SessionContext::new();
        crate::register_all(&context).unwrap();
        let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    }

    // If this fails, a count of two segments writes a bitmap of what they share, or counts another.
    #[tokio::test]
    async fn a_count_of_a_fold_is_the_fold_that_counts() {
        let sets = "(VALUES (bitmap_from_array([1, 2, 3, 9]), bitmap_from_array([2, 3, 4]), \
                    bitmap_from_array([3, 7])), (NULL, bitmap_from_array([1]), NULL)) AS s(a, b, c)";
        for (fold, sets_folded) in [
            ("bitmap_and", "a, b, c"),
            ("bitmap_or", "a, b, c"),
            ("bitmap_xor", "a, b, c"),
            ("bitmap_andnot", "a, b"),
        ] {
            let count = format!("bitmap_count({fold}({sets_folded}))");
            let plan = answer(&format!("EXPLAIN SELECT {count} FROM {sets}")).await;
            assert!(plan.contains(&format!("{fold}_count(")), "{plan}");
            let elements = format!("cardinality(bitmap_to_array({fold}({sets_folded})))");
            let differ =
                format!("SELECT {count} IS DISTINCT FROM {elements} AS differ FROM {sets}");
            assert!(!answer(&differ).await.contains("true"), "{fold}");
        }
    }

    // If this fails, each step of a long expression over segments writes a bitmap.
    #[tokio::test]
    async fn folds_of_folds_are_one() {
        let sets = "(VALUES (bitmap_from_array([1, 2, 3, 9]), bitmap_from_array([2, 3, 4]), \
                    bitmap_from_array([3, 7]))) AS s(a, b, c)";
        for (fold, elements) in [
            ("bitmap_and", "| [3]  "),
            ("bitmap_or", "| [1, 2, 3, 4, 7, 9]  "),
            ("bitmap_xor", "| [1, 3, 4, 7, 9]  "),
        ] {
            for nested in [
                format!("{fold}({fold}(a, b), c)"),
                format!("{fold}(a, {fold}(b, c))"),
                format!("{fold}({fold}({fold}({fold}(a, b), c), b), b)"),
            ] {
                let plan = answer(&format!("EXPLAIN SELECT {nested} AS s FROM {sets}")).await;
                assert_eq!(plan.matches(&format!("{fold}(")).count(), 2, "once a plan: {plan}");
                let found = answer(&format!("SELECT bitmap_to_array({nested}) FROM {sets}")).await;
                assert!(found.contains(elements), "{nested}: {found}");
            }
        }
    }
}
