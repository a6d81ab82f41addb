//! Texts are put together again from columns.

use super::Members;
use crate::error::{Error, Result};
use arrow::array::{Array, StringArray, StringBuilder};
use std::fmt::Write;

/// An array numbers its bytes by an [`i32`].
const BYTES_MAX: usize = i32::MAX as usize;

impl Members {
    /// The texts whose members stand in these columns, one for each member in their order; `whole`
    /// has the texts that no columns hold.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the texts together take more than an array can hold.
    pub fn join(&self, whole: &StringArray, columns: &[StringArray]) -> Result<StringArray> {
        let bytes = self.bytes_max(whole, columns);
        if bytes > BYTES_MAX {
            let what = "bytes of properties in one batch";
            return Err(Error::Exhausted { what, limit: BYTES_MAX as u64 });
        }
        let mut texts = StringBuilder::with_capacity(whole.len(), bytes);
        for row in 0..whole.len() {
            if whole.is_valid(row) {
                texts.append_value(whole.value(row));
            } else if self.write_row(columns, row, &mut texts) {
                texts.append_value("}");
            } else {
                texts.append_null();
            }
        }
        Ok(texts.finish())
    }

    /// Writes what a row has, all but the end; false when it has nothing.
    fn write_row(&self, columns: &[StringArray], row: usize, text: &mut StringBuilder) -> bool {
        let mut separator = "{";
        for (member, column) in self.members.iter().zip(columns) {
            if column.is_valid(row) {
                let parts = [separator, &member.front, column.value(row), member.back()];
                // Nothing can fail here: it is written to memory.
                parts.iter().for_each(|part| text.write_str(part).unwrap_or_default());
                separator = self.spacing.comma();
            }
        }
        separator != "{"
    }

    fn bytes_max(&self, whole: &StringArray, columns: &[StringArray]) -> usize {
        let given = |column: &StringArray| {
            let offsets = column.value_offsets();
            (offsets[column.len()] - offsets[0]) as usize
        };
        let around = |member: &super::Member| member.front.len() + self.spacing.comma().len() + 1;
        let members = self.members.iter().zip(columns).map(|(member, column)| {
            let present = column.len() - column.null_count();
            given(column) + present * around(member)
        });
        given(whole) + members.sum::<usize>() + whole.len()
    }
}
