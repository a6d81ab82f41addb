//! Values as bytes that are equal and compare like the values, and back.
//!
//! Texts are their own bytes and are only looked at. All else goes through Arrow's row format.

use super::numbering::Numbering;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
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

    /// The numbers of a column's values.
    pub fn number(
        &self,
        column: &ArrayRef,
        numbering: &mut Numbering,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        match self {
            Self::Text => {
                let texts = column.as_string_view();
                let bytes = |row| texts.is_valid(row).then(|| texts.value(row).as_bytes());
                numbering.number(texts.len(), bytes, numbers)
            }
            Self::Rows(converter) => {
                let rows = converter.convert_columns(std::slice::from_ref(column))?;
                let bytes = |row| column.is_valid(row).then(|| rows.row(row).data());
                numbering.number(column.len(), bytes, numbers)
            }
        }
    }

    /// The column of values that these bytes were.
    pub fn column(&self, bytes: &BinaryViewArray) -> Result<ArrayRef> {
        match self {
            Self::Text => Ok(Arc::new(bytes.clone().to_string_view()?)),
            Self::Rows(converter) => {
                let parser = converter.parser();
                let rows = bytes.iter().flatten().map(|row| parser.parse(row));
                Ok(converter.convert_rows(rows)?.remove(0))
            }
        }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Text => 0,
            Self::Rows(converter) => converter.size(),
        }
    }
}
