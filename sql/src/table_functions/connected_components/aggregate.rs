//! The aggregate `connected_components(a, b)` → list of (id, component).

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use habitue_storage::identity::components::DisjointSets;
use std::collections::HashMap;
use std::sync::Arc;

/// What a value costs beside its bytes: two pointers with lengths, a number, counts, a set.
const BYTES_PER_VALUE: usize = 64;

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
        match types {
            [a, b] if a == b => Ok(types.to_vec()),
            [a, _] => Ok(vec![a.clone(), a.clone()]),
            _ => plan_err!("connected_components wants two values. came={}", types.len()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(pair_field(&types[0])))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let pairs = args.return_field.data_type().clone();
        let name = format_state_name(args.name, "pairs");
        Ok(vec![Arc::new(Field::new(name, pairs, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Components::new(args.expr_fields[0].data_type().clone())?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn pair_fields(value: &DataType) -> Fields {
    let field = |name| Field::new(name, value.clone(), false);
    Fields::from(vec![field("id"), field("component")])
}

fn pair_field(value: &DataType) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(pair_fields(value)), true))
}

/// The values seen, numbered as they came, and which of them belong together.
///
/// Values are kept in Arrow's row format, whose bytes compare like the values.
#[derive(Debug)]
struct Components {
    value_type: DataType,
    converter: RowConverter,
    numbers: HashMap<Arc<[u8]>, u32>,
    values: Vec<Arc<[u8]>>,
    values_bytes: usize,
    sets: DisjointSets,
}

impl Components {
    fn new(value_type: DataType) -> Result<Self> {
        Ok(Self {
            converter: RowConverter::new(vec![SortField::new(value_type.clone())])?,
            value_type,
            numbers: HashMap::new(),
            values: Vec::new(),
            values_bytes: 0,
            sets: DisjointSets::default(),
        })
    }

    fn link(&mut self, a: &ArrayRef, b: &ArrayRef) -> Result<()> {
        let a_rows = self.converter.convert_columns(std::slice::from_ref(a))?;
        let b_rows = self.converter.convert_columns(std::slice::from_ref(b))?;
        for row in 0..a.len() {
            let left = a.is_valid(row).then(|| self.number_of(a_rows.row(row).as_ref()));
            let right = b.is_valid(row).then(|| self.number_of(b_rows.row(row).as_ref()));
            if let (Some(left), Some(right)) = (left.transpose()?, right.transpose()?) {
                self.sets.unite(left, right);
            }
        }
        Ok(())
    }

    fn number_of(&mut self, value: &[u8]) -> Result<u32> {
        if let Some(number) = self.numbers.get(value) {
            return Ok(*number);
        }
        let Ok(number) = u32::try_from(self.values.len()) else {
            return exec_err!("connected_components has too many values. values_max={}", u32::MAX);
        };
        let value: Arc<[u8]> = Arc::from(value);
        self.values_bytes += value.len();
        self.values.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        self.sets.grow(number + 1);
        Ok(number)
    }

    /// All values with the smallest value of their set, in the order of the values.
    fn pairs(&mut self) -> Result<ListArray> {
        let mut order: Vec<u32> = self.numbers.values().copied().collect();
        order.sort_unstable_by(|a, b| self.values[*a as usize].cmp(&self.values[*b as usize]));
        // The first member in this order is the smallest of its set.
        let mut smallest = vec![None; self.values.len()];
        let mut component = Vec::with_capacity(order.len());
        for number in &order {
            let root = self.sets.find(*number) as usize;
            component.push(*smallest[root].get_or_insert(*number));
        }
        let columns = vec![self.column(&order)?, self.column(&component)?];
        let pairs = StructArray::try_new(pair_fields(&self.value_type), columns, None)?;
        let offsets = OffsetBuffer::from_lengths([pairs.len()]);
        let field = pair_field(&self.value_type);
        Ok(ListArray::try_new(field, offsets, Arc::new(pairs), None)?)
    }

    fn column(&self, numbers: &[u32]) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let rows = numbers.iter().map(|number| parser.parse(&self.values[*number as usize]));
        let mut columns = self.converter.convert_rows(rows)?;
        Ok(columns.remove(0))
    }

    fn answer(&mut self) -> Result<ScalarValue> {
        if i32::try_from(self.values.len()).is_err() {
            return exec_err!(
                "connected_components has too many values. values={}, values_max={}",
                self.values.len(),
                i32::MAX
            );
        }
        Ok(ScalarValue::List(Arc::new(self.pairs()?)))
    }
}

impl Accumulator for Components {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.link(&values[0], &values[1])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for pairs in states[0].as_list::<i32>().iter().flatten() {
            let pairs = pairs.as_struct();
            self.link(pairs.column(0), pairs.column(1))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.answer()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values_bytes + self.values.len() * BYTES_PER_VALUE
    }
}
