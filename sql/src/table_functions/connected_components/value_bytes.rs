//! Values as bytes that are equal and compare like the values, and back.
//!
//! Texts are their own bytes and are only looked at. All else goes through Arrow's row format.

use super::numbering::Numbering;
use super::shards::{Shards, Visitor};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use std::sync::Arc;

/// How values of one type become bytes.
#[derive(Debug)]
pub(super) enum ValueBytes {
    /// Of [`DataType::Utf8View`].
    Text,
    Rows(RowConverter),
}

impl ValueBytes {
    pub fn of(value_type: &DataType) -> Result<Self> {
        if *value_type == DataType::Utf8View {
            return Ok(Self::Text);
        }
        Ok(Self::Rows(RowConverter::new(vec![SortField::new(value_type.clone())])?))
    }

    /// The numbers of a column's values; answers the bytes of memory that new ones took.
    pub fn number(
        &self,
        column: &ArrayRef,
        shards: &Shards,
        visitor: &mut Visitor,
        numbers: &mut Vec<u32>,
    ) -> Result<usize> {
        match self {
            Self::Text => {
                let texts = column.as_string_view();
                let bytes = |row| texts.is_valid(row).then(|| texts.value(row).as_bytes());
                shards.number(texts.len(), bytes, visitor, numbers)
            }
            Self::Rows(converter) => {
                let rows = converter.convert_columns(std::slice::from_ref(column))?;
                let bytes = |row| column.is_valid(row).then(|| rows.row(row).data());
                shards.number(column.len(), bytes, visitor, numbers)
            }
        }
    }

    /// The column of values that these bytes were, in the order of their numbers.
    pub fn column(&self, numbering: Numbering) -> Result<ArrayRef> {
        let (bytes, borders) = numbering.into_values();
        match self {
            Self::Text => {
                let mut texts = StringViewBuilder::with_capacity(borders.len() - 1);
                let block = texts.append_block(Buffer::from_vec(bytes));
                for place in borders.windows(2) {
                    texts.try_append_view(block, place[0], place[1] - place[0])?;
                }
                Ok(Arc::new(texts.finish()))
            }
            Self::Rows(converter) => {
                let parser = converter.parser();
                let places = borders.windows(2);
                let rows = places.map(|place| &bytes[place[0] as usize..place[1] as usize]);
                Ok(converter.convert_rows(rows.map(|row| parser.parse(row)))?.remove(0))
            }
        }
    }
}
