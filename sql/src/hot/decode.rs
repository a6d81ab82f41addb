//! Decoding columns of a data file as a whole.

use crate::error::Result;
use crate::events::{member_of_column, member_texts};
use crate::hot::column::{ColumnKind, HotColumn, Numbers, append};
use crate::hot::labels::Labels;
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use habitue_storage::data_file::{ROW_GROUP_ROWS, read_columns};
use habitue_storage::error::Error as StorageError;
use habitue_storage::event::{PROPERTIES, file_schema};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::sync::Arc;

/// A member of `properties` with more distinct values in one file than this is no label.
const LABELS_MAX: usize = 1 << 20;

/// Where a column comes from in what is read of a file.
enum Origin {
    Column(usize),
    /// A member of the JSON in this column.
    Member(usize, String),
}

/// Decodes the columns of this schema, all of which can be kept.
pub(crate) async fn decode(
    store: &Store,
    file: &DataFile,
    schema: SchemaRef,
) -> Result<Vec<HotColumn>> {
    let rows = usize::try_from(file.rows).unwrap_or(0);
    let kinds = schema.fields().iter().map(|field| ColumnKind::of(field.name(), field.data_type()));
    let mut columns = kinds.flatten().map(|kind| empty(kind, rows)).collect::<Vec<_>>();
    let (read, origins) = origins(&schema)?;
    let corrupt = |reason: String| StorageError::corrupt(&file.object.path, reason);
    let mut batches = read_columns(store.bucket(), file, read, ROW_GROUP_ROWS / 8).await?;
    let mut found = 0;
    while let Some(batch) = batches.try_next().await? {
        found += batch.num_rows();
        for (column, origin) in columns.iter_mut().zip(&origins) {
            match origin {
                Origin::Column(place) => append(column, batch.column(*place)).map_err(corrupt)?,
                Origin::Member(place, key) => add_member(column, batch.column(*place), key)?,
            }
        }
    }
    if found != rows {
        return Err(corrupt(format!("{found} rows were read, wanted {rows}")).into());
    }
    for column in &mut columns {
        if let HotColumn::Labels(labels) = column {
            labels.finish();
        }
    }
    Ok(columns)
}

/// `properties`, as it is in files.
pub(crate) fn properties_field() -> Result<Field> {
    let in_files = file_schema([]);
    Ok(in_files.field_with_name(PROPERTIES).map_err(DataFusionError::from)?.clone())
}

/// What to read of a file for these columns, and where each of them comes from.
fn origins(schema: &Schema) -> Result<(SchemaRef, Vec<Origin>)> {
    let members = schema.fields().iter().filter(|field| member_of_column(field.name()).is_some());
    let stored = schema.fields().len() - members.count();
    let (mut read, mut origins) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        origins.push(match member_of_column(field.name()) {
            Some(key) => Origin::Member(stored, key.to_owned()),
            None => {
                read.push(field.as_ref().clone());
                Origin::Column(read.len() - 1)
            }
        });
    }
    if stored < origins.len() {
        read.push(properties_field()?);
    }
    Ok((Arc::new(Schema::new(read)), origins))
}

fn add_member(column: &mut HotColumn, json: &ArrayRef, key: &str) -> Result<()> {
    let texts = member_texts(json, key)?;
    if let HotColumn::Labels(labels) = column {
        labels.append_texts(texts.as_string());
        if labels.values().len() > LABELS_MAX {
            let reason = format!(
                "properties->>'{key}' has too many values to be kept; SET habitue.customer_walk = off \
                 reads them row by row"
            );
            return Err(DataFusionError::ResourcesExhausted(reason).into());
        }
    }
    Ok(())
}

fn empty(kind: ColumnKind, rows: usize) -> HotColumn {
    match kind {
        ColumnKind::Time => HotColumn::Times(Vec::with_capacity(rows).into()),
        ColumnKind::Identifier => HotColumn::Identifiers(Vec::with_capacity(rows)),
        ColumnKind::Decimal => HotColumn::Decimals(Numbers::default()),
        ColumnKind::Label => HotColumn::Labels(Labels::default()),
    }
}
