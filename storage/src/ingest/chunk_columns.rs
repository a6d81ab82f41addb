//! The columns of a chunk, from which rows are picked in any order.

use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

/// A batch, and a row in it.
pub(super) type Place = (usize, usize);

/// All rows of a chunk, column by column.
pub(super) struct ChunkColumns {
    schema: SchemaRef,
    columns: Vec<ChunkColumn>,
}

enum ChunkColumn {
    /// NULL in every row.
    Absent(DataType),
    /// One array per batch.
    Arrays(Vec<ArrayRef>),
    Labels(Labels),
}

/// A column of labels under one dictionary: each batch came with its own, and to merge these again
/// for every few rows would cost more than to pick the rows.
struct Labels {
    names: Arc<StringArray>,
    batches: Vec<LabelsOfBatch>,
}

struct LabelsOfBatch {
    keys: Int32Array,
    /// From the batch's keys to those of the chunk.
    key_in_chunk: Arc<[Option<i32>]>,
}

impl ChunkColumns {
    /// The columns of these batches, which are all of one schema.
    pub(super) fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Self {
        let columns = schema.fields().iter().enumerate().map(|(place, field)| {
            let arrays = batches.iter().map(|batch| Arc::clone(batch.column(place)));
            let arrays: Vec<ArrayRef> = arrays.collect();
            let is_absent = arrays.iter().all(|array| array.logical_null_count() == array.len());
            let data_type = field.data_type();
            match data_type {
                _ if is_absent && field.is_nullable() => ChunkColumn::Absent(data_type.clone()),
                DataType::Dictionary(..) => ChunkColumn::Labels(Labels::of(&arrays)),
                _ => ChunkColumn::Arrays(arrays),
            }
        });
        Self { schema: Arc::clone(schema), columns: columns.collect() }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The values of a column in these rows.
    pub(super) fn pick(&self, column: usize, rows: &[Place]) -> Result<ArrayRef> {
        match &self.columns[column] {
            ChunkColumn::Absent(data_type) => Ok(new_null_array(data_type, rows.len())),
            ChunkColumn::Labels(labels) => labels.pick(rows),
            ChunkColumn::Arrays(arrays) => {
                let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
                interleave(&arrays, rows).map_err(sort_error)
            }
        }
    }
}

impl Labels {
    fn of(arrays: &[ArrayRef]) -> Self {
        let mut keys_of_names: HashMap<String, i32> = HashMap::new();
        let mut names: Vec<String> = Vec::new();
        let mut batches = Vec::with_capacity(arrays.len());
        for array in arrays {
            let labels = array.as_dictionary::<Int32Type>();
            let key_in_chunk = labels.values().as_string::<i32>().iter().map(|name| {
                let name = name?;
                if let Some(key) = keys_of_names.get(name) {
                    return Some(*key);
                }
                let key = names.len() as i32;
                keys_of_names.insert(name.to_owned(), key);
                names.push(name.to_owned());
                Some(key)
            });
            let key_in_chunk = key_in_chunk.collect();
            batches.push(LabelsOfBatch { keys: labels.keys().clone(), key_in_chunk });
        }
        Self { names: Arc::new(names.into_iter().map(Some).collect()), batches }
    }

    fn pick(&self, rows: &[Place]) -> Result<ArrayRef> {
        let key = |&(batch, row): &Place| {
            let LabelsOfBatch { keys, key_in_chunk } = &self.batches[batch];
            let key = keys.is_valid(row).then(|| keys.value(row))?;
            key_in_chunk.get(key as usize).copied().flatten()
        };
        let keys: Int32Array = rows.iter().map(key).collect();
        let names: ArrayRef = Arc::clone(&self.names) as ArrayRef;
        let labels = DictionaryArray::<Int32Type>::try_new(keys, names).map_err(sort_error)?;
        Ok(Arc::new(labels))
    }
}

fn sort_error(error: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: "sorting a chunk".into(), source: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::label_type;
    use arrow::datatypes::{Field, Schema};

    // If this fails, events get the names of other events.
    #[test]
    fn labels_of_batches_with_other_dictionaries_keep_their_names() {
        let field = Field::new("event", label_type(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = |labels: Vec<Option<&str>>| {
            let labels: DictionaryArray<Int32Type> = labels.into_iter().collect();
            RecordBatch::try_new(schema.clone(), vec![Arc::new(labels)]).unwrap()
        };
        let batches = [
            batch(vec![Some("view"), Some("buy"), None]),
            batch(vec![Some("buy"), Some("search"), Some("view")]),
        ];
        let columns = ChunkColumns::new(&schema, &batches);
        let picked = columns.pick(0, &[(1, 2), (0, 1), (1, 1), (0, 2), (1, 0)]).unwrap();
        let picked = picked.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        let picked: Vec<Option<&str>> = picked.into_iter().collect();
        assert_eq!(picked, [Some("view"), Some("buy"), Some("search"), None, Some("buy")]);
    }

    #[test]
    fn a_column_without_values_is_null_in_every_row() {
        let schema = Arc::new(Schema::new(vec![Field::new("order_id", DataType::Utf8, true)]));
        let column = Arc::new(StringArray::new_null(3));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).unwrap();
        let columns = ChunkColumns::new(&schema, &[batch]);
        assert!(matches!(columns.columns[0], ChunkColumn::Absent(_)));
        assert_eq!(columns.pick(0, &[(0, 2), (0, 0)]).unwrap().null_count(), 2);
    }
}
