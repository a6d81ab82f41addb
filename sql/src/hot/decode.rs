//! Decoding columns of a data file as a whole.

use crate::error::Result;
use crate::events::StoredMember;
use crate::hot::column::{ColumnKind, HotColumn, Numbers, append};
use crate::hot::labels::Labels;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use habitue_storage::data_file::{
    DataFileReader, Member, MemberKind, Members, ROW_GROUP_ROWS, member_of_text_column,
};
use habitue_storage::error::Error as StorageError;
use habitue_storage::event::{PROPERTIES, file_schema, label_type};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::sync::Arc;

/// A member of `properties` with more distinct values in one file than this is no label.
const LABELS_MAX: usize = 1 << 20;

/// Where a column comes from in what is read of a file, by places.
enum Origin {
    Column(usize),
    /// A member of `properties`, and of columns of its own.
    Member {
        key: String,
        whole: usize,
        text: Option<usize>,
        json: Option<usize>,
    },
}

/// Decodes the columns of this schema, all of which can be kept.
pub(crate) async fn decode(
    store: &Store,
    file: &DataFile,
    schema: SchemaRef,
) -> Result<Vec<HotColumn>> {
    let mut columns = empty_columns(&schema, usize::try_from(file.rows).unwrap_or(0));
    for_each_batch(store, file, &schema, |_, batch, origins| {
        add_batch(&mut columns, &file.object.path, batch, origins)
    })
    .await?;
    finish(&mut columns);
    Ok(columns)
}

/// Decodes the columns of this schema some rows at a time; `found` is told the number of the first
/// row, and how many there are.
pub(crate) async fn decode_parts(
    store: &Store,
    file: &DataFile,
    schema: SchemaRef,
    mut found: impl FnMut(usize, usize, Vec<HotColumn>) -> Result<()>,
) -> Result<()> {
    for_each_batch(store, file, &schema, |first, batch, origins| {
        let mut columns = empty_columns(&schema, batch.num_rows());
        add_batch(&mut columns, &file.object.path, batch, origins)?;
        finish(&mut columns);
        found(first, batch.num_rows(), columns)
    })
    .await
}

async fn for_each_batch(
    store: &Store,
    file: &DataFile,
    schema: &Schema,
    mut found: impl FnMut(usize, &RecordBatch, &[Origin]) -> Result<()>,
) -> Result<()> {
    let reader = DataFileReader::open(store.bucket(), file).await?;
    let (read, origins) = origins(schema, reader.members())?;
    let mut batches = reader.stored_columns(read, ROW_GROUP_ROWS / 8)?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        found(rows, &batch, &origins)?;
        rows += batch.num_rows();
    }
    if rows as u64 != file.rows {
        let reason = format!("{rows} rows were read, wanted {}", file.rows);
        return Err(StorageError::corrupt(&file.object.path, reason).into());
    }
    Ok(())
}

fn add_batch(
    columns: &mut [HotColumn],
    path: &str,
    batch: &RecordBatch,
    origins: &[Origin],
) -> Result<()> {
    let corrupt = |reason: String| StorageError::corrupt(path, reason);
    for (column, origin) in columns.iter_mut().zip(origins) {
        match origin {
            Origin::Column(place) => append(column, batch.column(*place)).map_err(corrupt)?,
            member => add_member(column, batch, member)?,
        }
    }
    Ok(())
}

fn finish(columns: &mut [HotColumn]) {
    for column in columns {
        if let HotColumn::Labels(labels) = column {
            labels.finish();
        }
    }
}

/// `properties`, as it is in files.
pub(crate) fn properties_field() -> Result<Field> {
    let in_files = file_schema([]);
    Ok(in_files.field_with_name(PROPERTIES).map_err(DataFusionError::from)?.clone())
}

/// What to read of a file for these columns, and where each of them comes from.
fn origins(schema: &Schema, members: Option<&Members>) -> Result<(SchemaRef, Vec<Origin>)> {
    let mut read = Vec::<Field>::new();
    let mut place_of = |field: Field| {
        read.iter().position(|known| known.name() == field.name()).unwrap_or_else(|| {
            read.push(field);
            read.len() - 1
        })
    };
    let mut origins = Vec::new();
    for field in schema.fields() {
        let Some(key) = member_of_text_column(field.name()) else {
            origins.push(Origin::Column(place_of(field.as_ref().clone())));
            continue;
        };
        let column = |wanted: MemberKind| {
            let mut members = members.into_iter().flat_map(Members::iter);
            let is_it = |member: &&Member| member.name() == key && member.kind() == wanted;
            Some(members.find(is_it)?.column())
        };
        let text = column(MemberKind::Text).map(|name| Field::new(name, label_type(), true));
        let json = column(MemberKind::Json).map(|name| Field::new(name, DataType::Utf8, true));
        origins.push(Origin::Member {
            key: key.to_owned(),
            whole: place_of(properties_field()?),
            text: text.map(&mut place_of),
            json: json.map(&mut place_of),
        });
    }
    Ok((Arc::new(Schema::new(read)), origins))
}

fn add_member(column: &mut HotColumn, batch: &RecordBatch, origin: &Origin) -> Result<()> {
    let (HotColumn::Labels(labels), Origin::Member { key, whole, text, json }) = (column, origin)
    else {
        return Ok(());
    };
    let stored = StoredMember {
        key,
        whole: batch.column(*whole),
        text: text.map(|place| batch.column(place)),
        json: json.map(|place| batch.column(place)),
    };
    match stored.only_texts() {
        Some(texts) => labels.append(texts).map_err(DataFusionError::Execution)?,
        None => labels.append_texts(stored.texts()?.as_string()),
    }
    if labels.values().len() > LABELS_MAX {
        let reason = format!(
            "properties->>'{key}' has too many values to be kept; SET habitue.customer_walk = off \
             reads them row by row"
        );
        return Err(DataFusionError::ResourcesExhausted(reason).into());
    }
    Ok(())
}

fn empty_columns(schema: &Schema, rows: usize) -> Vec<HotColumn> {
    let kinds = schema.fields().iter().map(|field| ColumnKind::of(field.name(), field.data_type()));
    kinds.flatten().map(|kind| empty(kind, rows)).collect()
}

fn empty(kind: ColumnKind, rows: usize) -> HotColumn {
    match kind {
        ColumnKind::Time => HotColumn::Times(Vec::with_capacity(rows).into()),
        ColumnKind::Identifier => HotColumn::Identifiers(Vec::with_capacity(rows)),
        ColumnKind::Decimal => HotColumn::Decimals(Numbers::default()),
        ColumnKind::Label => HotColumn::Labels(Labels::default()),
    }
}
