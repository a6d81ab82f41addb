//! The aggregate `connected_components(a, b)` → list of (id, component).
//!
//! What partitions hand on is each value once and, as a number, the member of the same list that
//! it belongs to: nothing is sorted, and no other value is looked up. Who is the smallest of a
//! component is told once, at the end, by comparing each member with the smallest until then.

use super::numbering::{NO_VALUE, Numbering};
use super::value_bytes::ValueBytes;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, ListArray, StructArray, UInt32Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use habitue_storage::identity::components::DisjointSets;
use std::sync::Arc;

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ConnectedComponents {
    signature: Signature,
}

impl Default for ConnectedComponents {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ConnectedComponents {
    fn name(&self) -> &str {
        "connected_components"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = types else {
            return plan_err!("connected_components wants two values. came={}", types.len());
        };
        Ok(vec![as_it_is_read(value); 2])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(list_of(&types[0], &types[0]))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let members = list_of(args.input_fields[0].data_type(), &DataType::UInt32);
        let name = format_state_name(args.name, "members");
        Ok(vec![Arc::new(Field::new(name, members, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Components::new(args.expr_fields[0].data_type())?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Texts are taken as views: those from Parquet are, and an answer of views copies no bytes.
fn as_it_is_read(value: &DataType) -> DataType {
    match value {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Dictionary(_, value) => as_it_is_read(value),
        other => other.clone(),
    }
}

fn fields(value: &DataType, component: &DataType) -> Fields {
    let field = |name, data_type: &DataType| Field::new(name, data_type.clone(), false);
    Fields::from(vec![field("id", value), field("component", component)])
}

fn item(fields: Fields) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(fields), true))
}

fn list_of(value: &DataType, component: &DataType) -> DataType {
    DataType::List(item(fields(value, component)))
}

/// One list of these pairs.
fn list(ids: ArrayRef, components: ArrayRef) -> Result<ScalarValue> {
    let fields = fields(ids.data_type(), components.data_type());
    let pairs = StructArray::try_new(fields.clone(), vec![ids, components], None)?;
    let offsets = OffsetBuffer::from_lengths([pairs.len()]);
    let list = ListArray::try_new(item(fields), offsets, Arc::new(pairs), None)?;
    Ok(ScalarValue::List(Arc::new(list)))
}

/// The values seen, numbered as they came, and which of them belong together.
#[derive(Debug)]
struct Components {
    bytes: ValueBytes,
    numbering: Numbering,
    sets: DisjointSets,
    // The numbers of one batch's rows.
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Components {
    fn new(value_type: &DataType) -> Result<Self> {
        Ok(Self {
            bytes: ValueBytes::of(value_type)?,
            numbering: Numbering::default(),
            sets: DisjointSets::default(),
            left: Vec::new(),
            right: Vec::new(),
        })
    }

    fn link(&mut self, a: &ArrayRef, b: &ArrayRef) -> Result<()> {
        self.bytes.number(a, &mut self.numbering, &mut self.left)?;
        self.bytes.number(b, &mut self.numbering, &mut self.right)?;
        self.sets.grow(self.numbering.len());
        for (left, right) in self.left.iter().zip(&self.right) {
            if *left != NO_VALUE && *right != NO_VALUE {
                self.sets.unite(*left, *right);
            }
        }
        Ok(())
    }

    /// Takes in what another one handed on: its values, and where their sets' first members are.
    fn link_members(&mut self, values: &ArrayRef, firsts: &UInt32Array) -> Result<()> {
        self.bytes.number(values, &mut self.numbering, &mut self.left)?;
        self.sets.grow(self.numbering.len());
        for (number, first) in self.left.iter().zip(firsts.values()) {
            let Some(first) = self.left.get(*first as usize) else {
                return exec_err!("connected_components has a member of no set. first={first}");
            };
            self.sets.unite(*number, *first);
        }
        Ok(())
    }
}

/// Which value of its set is the smallest, for each value; `firsts` tells the sets apart.
fn smallest(firsts: &[u32], values: &BinaryViewArray) -> UInt32Array {
    let mut smallest = firsts.to_vec();
    for (number, first) in (0u32..).zip(firsts) {
        let until_now = &mut smallest[*first as usize];
        if values.value(number as usize) < values.value(*until_now as usize) {
            *until_now = number;
        }
    }
    firsts.iter().map(|first| smallest[*first as usize]).collect::<Vec<u32>>().into()
}

impl Accumulator for Components {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.link(&values[0], &values[1])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for members in states[0].as_list::<i32>().iter().flatten() {
            let members = members.as_struct();
            self.link_members(members.column(0), members.column(1).as_primitive::<UInt32Type>())?;
        }
        Ok(())
    }

    // Leaves everything as it is: a window asks again after each row.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = self.numbering.values();
        let smallest = smallest(&self.sets.clone().into_labels(), &values);
        let ids = self.bytes.column(&values)?;
        let components = take(&ids, &smallest, None)?;
        list(ids, components)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let ids = self.bytes.column(&self.numbering.values())?;
        let firsts = UInt32Array::from(self.sets.clone().into_labels());
        Ok(vec![list(ids, Arc::new(firsts))?])
    }

    fn size(&self) -> usize {
        let numbers = self.sets.len() + self.left.capacity() + self.right.capacity();
        size_of_val(self)
            + self.bytes.memory_bytes()
            + self.numbering.memory_bytes()
            + numbers * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests;
