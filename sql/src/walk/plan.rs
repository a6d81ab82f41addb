//! Whether a scan of `events` is a walk, and the walk of it.

use crate::error::Result;
use crate::events::{PruningReport, has_few_values, member_of_column};
use crate::hot::{ColumnKind, Fit, properties_field};
use crate::session::Pinned;
use crate::walk::exec::{CustomerWalkExec, WalkSource};
use crate::walk::files::WalkFiles;
use crate::walk::output::{LabelExpression, WalkColumn};
use crate::walk::runs::{CustomerRuns, IndexedFile, RunsKey, has_split_groups};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::Statistics;
use datafusion::physical_expr::PhysicalExpr;
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::data_file::read_columns;
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID, TS, file_schema, label_type};
use habitue_storage::log::action::DataFile;
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::sync::Arc;

/// A query that would read less than one row in so many does not fill memory for the next one.
const SMALL_PART: u64 = 16;
/// How many file indexes are read at once.
const INDEXES_AT_ONCE: usize = 8;
/// Rows of a batch when only identifiers are read.
const IDENTIFIER_ROWS: usize = 64 * 1024;

/// How many rows show whether a member of `properties` is a label.
const SAMPLE_ROWS: usize = 4096;

/// What a scan wants.
pub(crate) struct WalkWish<'a> {
    pub(crate) pinned: &'a Pinned,
    /// The columns to give, as queries see them.
    pub(crate) schema: SchemaRef,
    /// The files that may hold wanted rows.
    pub(crate) files: Vec<&'a DataFile>,
    pub(crate) customers: Option<RoaringBitmap>,
    /// The name of a label column, and the test that it must pass; its column 0 is the label.
    pub(crate) filters: Vec<(String, Arc<dyn PhysicalExpr>)>,
    pub(crate) report: PruningReport,
    pub(crate) statistics: Statistics,
    pub(crate) partitions: usize,
}

/// The walk that answers the wish; `None` when its columns are too wide or memory is too small, or
/// when so little is wanted that Parquet is read as well.
pub(crate) async fn walk_plan(wish: WalkWish<'_>) -> Result<Option<CustomerWalkExec>> {
    let Some((schema, columns, filters)) = columns_of(&wish) else {
        return Ok(None);
    };
    let ts = schema.index_of(TS).ok();
    let hot = wish.pinned.hot();
    let fit = hot.fits(&wish.files, &schema);
    let is_small = wish.report.rows_selected * SMALL_PART < wish.report.rows_total;
    if wish.files.is_empty() || fit == Fit::No || (fit == Fit::Decoded && is_small) {
        return Ok(None);
    }
    if fit == Fit::Decoded && !members_are_labels(&wish, &schema).await? {
        return Ok(None);
    }
    let Some(runs) = runs_of(wish.pinned).await? else {
        return Ok(None);
    };
    let wanted = wish.files.iter().map(|file| file.object.path.as_str()).collect::<HashSet<_>>();
    let all = files_in_order(wish.pinned).into_iter();
    let files = all.map(|file| wanted.contains(file.object.path.as_str()).then(|| file.clone()));
    let store = wish.pinned.store().clone();
    let files = files.collect();
    let files = WalkFiles::new(store, hot.clone(), files, schema, wish.partitions);
    let source = WalkSource {
        version: wish.pinned.snapshot().version,
        report: wish.report,
        runs,
        files: Arc::new(files),
        customers: wish.customers.map(Arc::new),
        filters,
        ts,
        partitions: wish.partitions,
    };
    Ok(Some(CustomerWalkExec::new(Arc::new(source), &wish.schema, columns, wish.statistics)))
}

type Columns = (SchemaRef, Vec<WalkColumn>, Vec<LabelExpression>);

/// The columns to read, and how those that are wanted come from them.
fn columns_of(wish: &WalkWish<'_>) -> Option<Columns> {
    let names = wish.pinned.catalog().namespaces.iter().map(|namespace| namespace.name.as_str());
    let in_files = file_schema(names);
    let mut read = Vec::<Field>::new();
    let mut place_of = |name: &str| {
        let field = match member_of_column(name) {
            Some(_) => Field::new(name, label_type(), true),
            None => in_files.field_with_name(name).ok()?.clone(),
        };
        let kind = ColumnKind::of(name, field.data_type())?;
        let place = read.iter().position(|known| known.name() == name).unwrap_or_else(|| {
            read.push(field);
            read.len() - 1
        });
        Some((kind, place))
    };
    let mut columns = Vec::new();
    for field in wish.schema.fields() {
        if field.name() == CUSTOMER_ID {
            columns.push(WalkColumn::Customer);
            continue;
        }
        let (kind, place) = place_of(field.name())?;
        columns.push(match kind {
            ColumnKind::Time => WalkColumn::Time(place),
            ColumnKind::Identifier => WalkColumn::Identifier(place),
            ColumnKind::Decimal => WalkColumn::Decimal(place),
            ColumnKind::Label => WalkColumn::Label(place),
        });
    }
    let mut filters = Vec::new();
    for (name, expression) in &wish.filters {
        let (_, column) = place_of(name)?;
        filters.push(LabelExpression { column, expression: expression.clone() });
    }
    Some((Arc::new(Schema::new(read)), columns, filters))
}

/// Whether members of `properties` have few values, as far as the first rows of a large file tell.
async fn members_are_labels(wish: &WalkWish<'_>, schema: &Schema) -> Result<bool> {
    let names = schema.fields().iter().map(|field| member_of_column(field.name()));
    let members = names.flatten().collect::<Vec<_>>();
    let Some(file) = wish.files.iter().max_by_key(|file| file.rows).filter(|_| !members.is_empty())
    else {
        return Ok(true);
    };
    let properties = Arc::new(Schema::new(vec![properties_field()?]));
    let store = wish.pinned.store();
    let mut batches = read_columns(store.bucket(), file, properties, SAMPLE_ROWS).await?;
    let Some(batch) = batches.try_next().await? else {
        return Ok(true);
    };
    for member in members {
        if !has_few_values(batch.column(0), member)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// All files of the snapshot: those of earlier events first, so that a customer's runs mostly come
/// in order of time.
fn files_in_order(pinned: &Pinned) -> Vec<&DataFile> {
    let mut files = pinned.snapshot().data_files.values().collect::<Vec<_>>();
    files.sort_by_key(|file| (file.ts_min_us, file.ingested_from));
    files
}

/// The runs of a snapshot; `None` when there is no memory for them.
async fn runs_of(pinned: &Pinned) -> Result<Option<Arc<CustomerRuns>>> {
    let files = files_in_order(pinned);
    let key = RunsKey {
        identity_version: pinned.snapshot().identity_version,
        paths: files.iter().map(|file| file.object.path.clone()).collect(),
    };
    if let Some(runs) = pinned.hot().runs().find(&key) {
        return Ok(Some(runs));
    }
    let indexed = |file: &DataFile| {
        let file = file.clone();
        async move {
            let index = pinned.store().file_index(&file).await?;
            let identifiers = match has_split_groups(&index, pinned.identities()) {
                true => Some(identifiers_of(pinned, &file).await?),
                false => None,
            };
            Ok::<_, crate::Error>(IndexedFile { index, identifiers })
        }
    };
    let found = stream::iter(files).map(indexed).buffered(INDEXES_AT_ONCE);
    let found = found.try_collect::<Vec<_>>().await?;
    let runs = Arc::new(CustomerRuns::new(&found, pinned.identities())?);
    let Some(memory) = pinned.hot().reserve(runs.bytes()) else {
        return Ok(None);
    };
    pinned.hot().runs().keep(key, runs.clone(), memory);
    Ok(Some(runs))
}

async fn identifiers_of(pinned: &Pinned, file: &DataFile) -> Result<Vec<u32>> {
    let in_files = file_schema([]);
    let fields = in_files.fields().iter().filter(|field| field.name() == IDENTIFIER_ID);
    let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
    let mut batches = read_columns(pinned.store().bucket(), file, schema, IDENTIFIER_ROWS).await?;
    let mut identifiers = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        let column = batch.column(0).as_primitive::<UInt32Type>();
        identifiers.extend_from_slice(&column.values()[..column.len() - column.null_count()]);
    }
    Ok(identifiers)
}
