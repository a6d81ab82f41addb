//! The table of bitmap functions: what each takes, what it answers, what it does.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use crate::arguments::Wording;
use crate::bitmap::aggregate::Input;
use crate::bitmap::choose::{by_limit, by_position, by_value, has_all, has_any};
use crate::bitmap::columns::check_input;
use crate::bitmap::portable::Bitmap;

/// What one argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Parameter {
    Bitmap,
    Number,
    Numbers,
}

/// What a function does with the arguments of one row, none of which is NULL.
#[derive(Clone, Copy)]
pub(super) enum Compute {
    /// One bitmap to a bitmap.
    Cut(fn(&Bitmap, i64, i64) -> Bitmap),
    /// Bitmaps to a bitmap: the others change the first.
    Fold(fn(&mut Bitmap, &Bitmap)),
    /// Bitmaps to the count of what [`Compute::Fold`] makes.
    FoldCount(fn(&mut Bitmap, &Bitmap)),
    /// A bitmap to a number.
    Measure(fn(&Bitmap) -> Option<u64>),
    /// Two bitmaps to yes or no.
    Compare(fn(&Bitmap, &Bitmap) -> bool),
    /// A bitmap and a number to yes or no.
    Contains,
    /// A bitmap to its elements.
    ToArray,
    /// Elements to a bitmap.
    FromArray,
}

/// One line of the table of functions.
#[derive(Clone, Copy)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    example: &'static str,
    parameters: &'static [Parameter],
    pub(super) compute: Compute,
}

const fn define(
    name: &'static str,
    example: &'static str,
    parameters: &'static [Parameter],
    compute: Compute,
) -> Definition {
    Definition { name, example, parameters, compute }
}

const ONE: &[Parameter] = &[Parameter::Bitmap];
const TWO: &[Parameter] = &[Parameter::Bitmap, Parameter::Bitmap];
const CUT: &[Parameter] = &[Parameter::Bitmap, Parameter::Number, Parameter::Number];

/// All functions.
pub(super) static DEFINITIONS: &[Definition] = {
    use Compute::{Compare, Contains, Cut, Fold, FoldCount, FromArray, Measure, ToArray};
    &[
        define("bitmap_and", "bitmap_and(a, b)", TWO, Fold(Bitmap::intersect_with)),
        define("bitmap_or", "bitmap_or(a, b)", TWO, Fold(Bitmap::union_with)),
        define("bitmap_xor", "bitmap_xor(a, b)", TWO, Fold(Bitmap::toggle)),
        define("bitmap_andnot", "bitmap_andnot(a, b)", TWO, Fold(Bitmap::subtract)),
        define("bitmap_and_count", "bitmap_and_count(a, b)", TWO, {
            FoldCount(Bitmap::intersect_with)
        }),
        define("bitmap_or_count", "bitmap_or_count(a, b)", TWO, FoldCount(Bitmap::union_with)),
        define("bitmap_xor_count", "bitmap_xor_count(a, b)", TWO, FoldCount(Bitmap::toggle)),
        define("bitmap_andnot_count", "bitmap_andnot_count(a, b)", TWO, {
            FoldCount(Bitmap::subtract)
        }),
        define("bitmap_count", "bitmap_count(a)", ONE, Measure(|set| Some(set.len()))),
        define("bitmap_min", "bitmap_min(a)", ONE, Measure(Bitmap::min)),
        define("bitmap_max", "bitmap_max(a)", ONE, Measure(Bitmap::max)),
        define("bitmap_has_any", "bitmap_has_any(a, b)", TWO, Compare(has_any)),
        define("bitmap_has_all", "bitmap_has_all(a, b)", TWO, Compare(has_all)),
        define(
            "bitmap_contains",
            "bitmap_contains(a, customer_id)",
            &[Parameter::Bitmap, Parameter::Number],
            Contains,
        ),
        define("bitmap_to_array", "bitmap_to_array(a)", ONE, ToArray),
        define("bitmap_from_array", "bitmap_from_array([1, 2])", &[Parameter::Numbers], FromArray),
        define("sub_bitmap", "sub_bitmap(a, 0, 100)", CUT, Cut(by_position)),
        define("bitmap_subset_in_range", "bitmap_subset_in_range(a, 10, 20)", CUT, Cut(by_value)),
        define("bitmap_subset_limit", "bitmap_subset_limit(a, 10, 100)", CUT, Cut(by_limit)),
    ]
};

impl Definition {
    /// How its errors name it.
    pub(super) fn wording(&self) -> Wording {
        Wording { function: self.name, example: self.example }
    }

    /// `bitmap_and`, `bitmap_or`, `bitmap_xor` and their counts take any number of bitmaps.
    pub(super) fn takes_more(&self) -> bool {
        let folds = matches!(self.compute, Compute::Fold(_) | Compute::FoldCount(_));
        folds && !self.name.starts_with("bitmap_andnot")
    }

    /// What the argument at this place is.
    pub(super) fn parameter(&self, index: usize) -> Parameter {
        self.parameters.get(index).copied().unwrap_or(Parameter::Bitmap)
    }

    /// Checks number and types of the arguments.
    pub(super) fn check(&self, types: &[DataType]) -> Result<()> {
        let (came, wanted) = (types.len(), self.parameters.len());
        if came < wanted || (came > wanted && !self.takes_more()) {
            let wanted = format!("{wanted} arguments");
            let came = format!("{came} arguments");
            return Err(self.wording().wrong("…", came, wanted));
        }
        for (index, data_type) in types.iter().enumerate() {
            let (input, checked) = match (self.parameter(index), data_type) {
                (Parameter::Bitmap, data_type) => (Input::Bitmap, data_type),
                (Parameter::Number, data_type) => (Input::Number, data_type),
                (
                    Parameter::Numbers,
                    DataType::List(item)
                    | DataType::LargeList(item)
                    | DataType::FixedSizeList(item, _),
                ) => (Input::Number, item.data_type()),
                (Parameter::Numbers, DataType::Null) => continue,
                (Parameter::Numbers, other) => {
                    return Err(self.wording().wrong("numbers", other, "a list of numbers"));
                }
            };
            check_input(input, checked, self.wording())?;
        }
        Ok(())
    }

    /// The type of its answers.
    pub(super) fn answer_type(&self) -> DataType {
        match self.compute {
            Compute::Cut(_) | Compute::Fold(_) | Compute::FromArray => DataType::Binary,
            Compute::FoldCount(_) | Compute::Measure(_) => DataType::Int64,
            Compute::Compare(_) | Compute::Contains => DataType::Boolean,
            Compute::ToArray => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))
            }
        }
    }
}
