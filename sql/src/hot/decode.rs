//! Decoding columns of a data file as a whole.

use crate::error::Result;
use crate::hot::column::{ColumnKind, HotColumn, Numbers, append};
use crate::hot::labels::Labels;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use habitue_storage::data_file::{ROW_GROUP_ROWS, read_columns};
use habitue_storage::error::Error as StorageError;
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;

/// Decodes the columns of this schema, all of which can be kept.
pub(super) async fn decode(
    store: &Store,
    file: &DataFile,
    schema: SchemaRef,
) -> Result<Vec<HotColumn>> {
    let rows = usize::try_from(file.rows).unwrap_or(0);
    let kinds = schema.fields().iter().map(|field| ColumnKind::of(field.name(), field.data_type()));
    let mut columns = kinds.flatten().map(|kind| empty(kind, rows)).collect::<Vec<_>>();
    let corrupt = |reason: String| StorageError::corrupt(&file.object.path, reason);
    let mut batches = read_columns(store.bucket(), file, schema, ROW_GROUP_ROWS / 8).await?;
    let mut found = 0;
    while let Some(batch) = batches.try_next().await? {
        found += batch.num_rows();
        for (column, more) in columns.iter_mut().zip(batch.columns()) {
            append(column, more).map_err(corrupt)?;
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

fn empty(kind: ColumnKind, rows: usize) -> HotColumn {
    match kind {
        ColumnKind::Time => HotColumn::Times(Vec::with_capacity(rows)),
        ColumnKind::Identifier => HotColumn::Identifiers(Vec::with_capacity(rows)),
        ColumnKind::Decimal => HotColumn::Decimals(Numbers::default()),
        ColumnKind::Label => HotColumn::Labels(Labels::default()),
    }
}
