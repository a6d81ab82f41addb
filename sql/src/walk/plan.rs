//! Whether a scan of `events` is a walk, and the walk of it.

use crate::error::Result;
use crate::events::{LabelTest, PruningReport};
use crate::hot::{ColumnKind, Fit};
use crate::session::Pinned;
use crate::walk::arrangement::{Arrangement, FirstRuns};
use crate::walk::cache::RunsKey;
use crate::walk::exec::{CustomerWalkExec, WalkRows, WalkSource};
use crate::walk::files::{WalkFiles, WalkPart, in_background};
use crate::walk::output::{LabelExpression, WalkColumn};
use crate::walk::picked::{Picker, Picking};
use crate::walk::runs::{CustomerRuns, IndexedFile, has_split_groups};
use crate::walk::sample::{members_are_labels, rows_that_pass};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::Statistics;
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::data_file::{PAGE_ROWS, member_of_text_column, read_columns};
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID, TS, file_schema, label_type};
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::DataFile;
use habitue_storage::store::{INDEXES_AT_ONCE, Store};
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A query that would read less than one row in so many does not fill memory for the next one.
const SMALL_PART: u64 = 16;
/// The same when it reads the labels of all rows and little else of most.
const SMALL_PART_OF_LABELS: u64 = 8;
/// With fewer events it does not matter which way is taken.
const ROWS_WORTH_A_SAMPLE: u64 = 1 << 16;
/// A query that reads at least one row in so many is worth an arrangement.
const LARGE_PART: u64 = 4;
/// At most one row in so many stands beside an arrangement; with more, a new one is made.
const OTHERS_PART: u64 = 8;
/// Rows of a batch when only identifiers are read.
const IDENTIFIER_ROWS: usize = 64 * 1024;

/// What a scan wants.
pub(crate) struct WalkWish<'a> {
    pub(crate) pinned: &'a Arc<Pinned>,
    /// The columns to give, as queries see them.
    pub(crate) schema: SchemaRef,
    /// The files that may hold wanted rows.
    pub(crate) files: Vec<&'a DataFile>,
    pub(crate) customers: Option<RoaringBitmap>,
    /// Only rows that pass one of the tests of each of these are wanted.
    pub(crate) filters: Vec<Vec<LabelTest>>,
    pub(crate) report: PruningReport,
    pub(crate) statistics: Statistics,
    pub(crate) partitions: usize,
    /// Whether columns may be kept for later queries.
    pub(crate) may_keep: bool,
}

/// The walk that answers the wish; `None` when its columns are too wide or memory is too small, or
/// when so little is wanted that Parquet is read as well.
pub(crate) async fn walk_plan(wish: WalkWish<'_>) -> Result<Option<CustomerWalkExec>> {
    let Some((schema, columns, filters)) = columns_of(&wish) else {
        return Ok(None);
    };
    let Some((parts, rows)) = parts_of(&wish, &schema, &filters).await? else {
        return Ok(None);
    };
    let ts = schema.index_of(TS).ok();
    let store = wish.pinned.store().clone();
    let files = WalkFiles::new(store, wish.pinned.hot().clone(), parts, schema, wish.partitions);
    let source = WalkSource {
        pinned: wish.pinned.clone(),
        report: wish.report,
        rows,
        files: Arc::new(files),
        customers: wish.customers.map(Arc::new),
        filters,
        ts,
        partitions: wish.partitions,
    };
    Ok(Some(CustomerWalkExec::new(Arc::new(source), &wish.schema, columns, wish.statistics)))
}

type PartsAndRows = (Vec<WalkPart>, WalkRows);
type Filters = [Vec<LabelExpression>];

/// What to read: an arrangement and the files that it does not know, or files only.
async fn parts_of(
    wish: &WalkWish<'_>,
    schema: &SchemaRef,
    filters: &Filters,
) -> Result<Option<PartsAndRows>> {
    if wish.files.is_empty() {
        return Ok(None);
    }
    // Some files only are read for one statement, and not arranged for the next.
    let is_excerpt = wish.pinned.is_excerpt();
    let kept = kept_arrangement(wish.pinned, wish.partitions).filter(|_| !is_excerpt);
    let (selected, total) = (wish.report.rows_selected, wish.report.rows_total);
    let is_worth_a_look = total >= ROWS_WORTH_A_SAMPLE;
    let selected = match kept {
        None if is_worth_a_look => rows_that_pass(wish, selected).await?,
        _ => selected,
    };
    if !wish.may_keep {
        return picked_parts(wish, schema, filters, selected).await;
    }
    let may_arrange = wish.needs_order() && !is_excerpt;
    let may_be_first = may_arrange && kept.is_none() && is_worth_a_look;
    if may_be_first
        && wish.is_first(schema, selected)
        && let Some(picked) = picked_parts(wish, schema, filters, selected).await?
    {
        return Ok(Some(picked));
    }
    let is_large = may_arrange && (wish.is_large(selected) || wish.pinned.is_asked_again(schema));
    let arrangement = match kept {
        None if is_large => new_arrangement(wish).await?,
        kept => kept,
    };
    if let Some(arrangement) = arrangement {
        let parts = arranged_parts(wish.pinned, arrangement);
        let fit = fit(wish, &parts, schema);
        // Files that came later are decoded for what reads as many rows anyway: of Parquet at least
        // a page for each range, where there are so many.
        let later = files_of(&parts).iter().map(|file| file.rows).sum::<u64>();
        let pages = wish.report.row_ranges as u64 * PAGE_ROWS as u64;
        let selected = selected.max(pages.min(total));
        let is_kept = |parts| self::fit(wish, parts, schema) == Fit::AllKept;
        let is_worth_it =
            is_large || fit == Fit::AllKept || (later <= selected && is_kept(&parts[..1]));
        if is_worth_it && fit != Fit::No && members_are_labels(wish, fit, schema).await? {
            return with_runs(wish, parts).await;
        }
    }
    let parts = parts_in_files(wish);
    let fit = fit(wish, &parts, schema);
    let small_part = if wish.filters.is_empty() { SMALL_PART } else { SMALL_PART_OF_LABELS };
    let is_small = selected * small_part < total;
    if fit == Fit::No
        || (fit == Fit::Decoded && (is_small || !wish.needs_order()))
        || !members_are_labels(wish, fit, schema).await?
    {
        return Ok(None);
    }
    with_runs(wish, parts).await
}

async fn with_runs(wish: &WalkWish<'_>, parts: Vec<WalkPart>) -> Result<Option<PartsAndRows>> {
    let runs = runs_of(wish.pinned, &parts).await?;
    Ok(runs.map(|runs| (parts, WalkRows::Whole(runs))))
}

/// All files of the snapshot, of which some are not read.
fn parts_in_files(wish: &WalkWish<'_>) -> Vec<WalkPart> {
    let wanted = wish.files.iter().map(|file| file.object.path.as_str()).collect::<HashSet<_>>();
    let parts = files_in_order(wish.pinned).into_iter().map(|file| {
        match wanted.contains(file.object.path.as_str()) {
            true => WalkPart::File(file.clone()),
            false => WalkPart::Skipped,
        }
    });
    parts.collect()
}

/// The wanted files, to pick out of them the rows that are needed; `None` when few are and no filter
/// tells which, when their customers are known, as the indexes of files tell where these have rows, and
/// when everything is kept already or memory is too small.
async fn picked_parts(
    wish: &WalkWish<'_>,
    schema: &SchemaRef,
    filters: &Filters,
    selected: u64,
) -> Result<Option<PartsAndRows>> {
    let picker = Picker {
        store: wish.pinned.store().clone(),
        hot: wish.pinned.hot().clone(),
        identities: wish.pinned.identities().clone(),
        schema: schema.clone(),
        picking: Picking::Passing(filters.to_vec()),
        threads: wish.partitions,
    };
    let parts = parts_in_files(wish).into_iter();
    let parts = parts.filter(|part| matches!(part, WalkPart::File(_))).collect::<Vec<_>>();
    let files = files_of(&parts).into_iter().cloned().collect::<Vec<_>>();
    let is_worth_it = wish.is_large(selected) || !filters.is_empty();
    if !is_worth_it
        || !wish.needs_order()
        || wish.customers.is_some()
        || fit(wish, &parts, schema) == Fit::AllKept
        || !picker.fits(&files)
        || !members_are_labels(wish, Fit::Decoded, schema).await?
    {
        return Ok(None);
    }
    Ok(Some((parts, WalkRows::Picked { picker, walked: OnceCell::new() })))
}

impl WalkWish<'_> {
    /// Whether the order of a walk is of use: where nobody asks whose rows they are, Parquet is read
    /// as fast as it is made.
    fn needs_order(&self) -> bool {
        self.schema.column_with_name(CUSTOMER_ID).is_some()
    }

    /// Whether so many rows are worth an arrangement.
    fn is_large(&self, selected: u64) -> bool {
        selected * LARGE_PART >= self.report.rows_total
    }

    /// Whether this is the first query of the process that goes from customer to customer in these
    /// files; of those that want few rows, the first that wants these columns. A program that asks once
    /// is answered sooner without an arrangement.
    fn is_first(&self, schema: &Schema, selected: u64) -> bool {
        match self.is_large(selected) {
            true => !self.pinned.is_asked_again(&Schema::empty()),
            false => !self.pinned.is_asked_again(schema),
        }
    }
}

fn fit(wish: &WalkWish<'_>, parts: &[WalkPart], schema: &Schema) -> Fit {
    let wanted = parts.iter().filter_map(WalkPart::wanted).collect::<Vec<_>>();
    wish.pinned.hot().fits(&wanted, schema)
}

/// The rows that these customers have in an arrangement that serves the snapshot, and all rows that
/// are not in it; `None` when there is no arrangement.
pub(crate) fn arranged_rows_of(
    pinned: &Pinned,
    partitions: usize,
    customers: &RoaringBitmap,
) -> Option<u64> {
    let arrangement = kept_arrangement(pinned, partitions)?;
    let others = pinned.snapshot().rows().saturating_sub(u64::from(arrangement.rows()));
    Some(others + arrangement.rows_of(customers, pinned.identities()))
}

/// An arrangement that serves the snapshot, if there is one.
fn kept_arrangement(pinned: &Pinned, partitions: usize) -> Option<Arc<Arrangement>> {
    let snapshot = pinned.snapshot();
    let paths = snapshot.data_files.keys().map(AsRef::as_ref).collect::<HashSet<&str>>();
    let serves = |arrangement: &Arrangement| {
        let others = snapshot.rows().saturating_sub(u64::from(arrangement.rows()));
        arrangement.partitions() == partitions
            && others * OTHERS_PART <= snapshot.rows()
            && arrangement.serves(&paths, pinned.identities())
    };
    pinned.hot().runs().arrangement(serves)
}

/// A new arrangement of all files; `None` when they have too many rows.
async fn new_arrangement(wish: &WalkWish<'_>) -> Result<Option<Arc<Arrangement>>> {
    let (pinned, partitions) = (wish.pinned, wish.partitions);
    let files = files_in_order(pinned);
    let runs = file_runs(pinned.store(), &files, pinned.identities()).await?;
    let files = files.into_iter().cloned().collect();
    let identities = pinned.identities().clone();
    let spreads = pinned.hot().runs().spreads();
    let Some(mut made) = Arrangement::new(files, &runs, partitions, identities, spreads)? else {
        return Ok(None);
    };
    if let Some(memory) = pinned.hot().reserve(runs.bytes()) {
        *made.making.get_mut() = Some(FirstRuns { runs, _memory: memory });
    }
    let made = Arc::new(made);
    if let Some(memory) = pinned.hot().reserve(made.bytes()) {
        pinned.hot().runs().keep_arrangement(made.clone(), memory);
    }
    Ok(Some(made))
}

/// The arrangement, and the files of the snapshot that are not in it.
fn arranged_parts(pinned: &Pinned, arrangement: Arc<Arrangement>) -> Vec<WalkPart> {
    let known = arrangement.files().iter().map(|file| file.object.path.clone());
    let known = known.collect::<HashSet<_>>();
    let others = files_in_order(pinned).into_iter();
    let others = others.filter(|file| !known.contains(&file.object.path));
    let others = others.map(|file| WalkPart::File(file.clone()));
    std::iter::once(WalkPart::Arranged(arrangement)).chain(others).collect()
}

type Columns = (SchemaRef, Vec<WalkColumn>, Vec<Vec<LabelExpression>>);

/// The columns to read, and how those that are wanted come from them.
fn columns_of(wish: &WalkWish<'_>) -> Option<Columns> {
    let names = wish.pinned.catalog().namespaces.iter().map(|namespace| namespace.name.as_str());
    let in_files = file_schema(names);
    let mut read = Vec::<Field>::new();
    let mut place_of = |name: &str| {
        let field = match member_of_text_column(name) {
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
    for tests in &wish.filters {
        let placed = tests.iter().map(|(name, expression)| {
            let (_, column) = place_of(name)?;
            Some(LabelExpression { column, expression: expression.clone() })
        });
        filters.push(placed.collect::<Option<Vec<_>>>()?);
    }
    Some((Arc::new(Schema::new(read)), columns, filters))
}

/// All files of the snapshot: those of earlier events first, so that a customer's runs mostly come
/// in order of time.
fn files_in_order(pinned: &Pinned) -> Vec<&DataFile> {
    let mut files = pinned.snapshot().data_files.values().collect::<Vec<_>>();
    files.sort_by_key(|file| (file.ts_min_us, file.ingested_from));
    files
}

/// The runs of a snapshot in these parts; `None` when there is no memory for them.
pub(super) async fn runs_of(
    pinned: &Pinned,
    parts: &[WalkPart],
) -> Result<Option<Arc<CustomerRuns>>> {
    let arrangement = parts.iter().find_map(|part| match part {
        WalkPart::Arranged(arrangement) => Some(arrangement.clone()),
        _ => None,
    });
    let files = files_in_order(pinned);
    let key = RunsKey {
        identity_version: pinned.snapshot().identity_version,
        paths: files.iter().map(|file| file.object.path.clone()).collect(),
        arrangement: arrangement.as_ref().map(|arrangement| arrangement.name().clone()),
    };
    if let Some(runs) = pinned.hot().runs().find(&key) {
        return Ok(Some(runs));
    }
    let identities = pinned.identities();
    let runs = match arrangement {
        None => file_runs(pinned.store(), &files, identities).await?,
        Some(arrangement) => {
            let others = indexed(pinned.store(), &files_of(parts), identities).await?;
            CustomerRuns::beside(arrangement, &others, identities)?
        }
    };
    let runs = Arc::new(runs);
    let Some(memory) = pinned.hot().reserve(runs.bytes()) else {
        return Ok(None);
    };
    if !pinned.is_excerpt() {
        pinned.hot().runs().keep(key, runs.clone(), memory);
    }
    Ok(Some(runs))
}

fn files_of(parts: &[WalkPart]) -> Vec<&DataFile> {
    let files = parts.iter().filter_map(|part| match part {
        WalkPart::File(file) => Some(file),
        _ => None,
    });
    files.collect()
}

/// The runs of these files.
pub(crate) async fn file_runs(
    store: &Store,
    files: &[&DataFile],
    identities: &Arc<IdentityMap>,
) -> Result<CustomerRuns> {
    Ok(CustomerRuns::of_files(&indexed(store, files, identities).await?, identities)?)
}

async fn indexed(
    store: &Store,
    files: &[&DataFile],
    identities: &Arc<IdentityMap>,
) -> Result<Vec<IndexedFile>> {
    let files = files.iter().copied().cloned().collect::<Vec<_>>();
    let indexed = |file: DataFile| {
        let (store, identities) = (store.clone(), identities.clone());
        in_background(async move { indexed_file(&store, &file, &identities).await })
    };
    stream::iter(files).map(indexed).buffered(INDEXES_AT_ONCE).try_collect().await
}

pub(super) async fn indexed_file(
    store: &Store,
    file: &DataFile,
    identities: &IdentityMap,
) -> Result<IndexedFile> {
    let index = store.file_index(file).await?;
    let identifiers = match has_split_groups(&index, identities) {
        true => Some(identifiers_of(store, file).await?),
        false => None,
    };
    Ok(IndexedFile { index, identifiers })
}

async fn identifiers_of(store: &Store, file: &DataFile) -> Result<Vec<u32>> {
    let in_files = file_schema([]);
    let fields = in_files.fields().iter().filter(|field| field.name() == IDENTIFIER_ID);
    let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
    let mut batches = read_columns(store.bucket(), file, schema, IDENTIFIER_ROWS).await?;
    let mut identifiers = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        let column = batch.column(0).as_primitive::<UInt32Type>();
        identifiers.extend_from_slice(&column.values()[..column.len() - column.null_count()]);
    }
    Ok(identifiers)
}
