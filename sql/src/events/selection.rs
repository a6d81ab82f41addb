//! Which data files of a snapshot, and which rows of them, a scan has to read.

use crate::error::Result;
use crate::events::report::PruningReport;
use crate::events::restriction::customers_wanted;
use crate::events::statistics::FileStatistics;
use crate::session::{Pinned, Pruning};
use crate::walk::in_background;
use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::data_file::FileIndex;
use habitue_storage::event::{EVENT, IDENTIFIER_ID, TS};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::INDEXES_AT_ONCE;
use roaring::RoaringBitmap;
use std::ops::Range;
use std::sync::Arc;

/// Fewer rows than this between two ranges are cheaper to read than to skip.
const GAP_ROWS_MIN: u32 = 64;
/// A file of which more than this share is wanted is read as a whole.
const SELECTED_SHARE_MAX: f64 = 0.5;

/// A data file to read, or some of its rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSelection {
    pub(crate) file: DataFile,
    /// The rows that can match; `None` is all.
    pub(crate) rows: Option<Vec<Range<u32>>>,
}

impl FileSelection {
    fn whole(file: DataFile) -> Self {
        Self { file, rows: None }
    }

    fn rows_selected(&self) -> u64 {
        self.rows.as_ref().map_or(self.file.rows, |ranges| rows_in(ranges))
    }
}

/// What a scan reads.
pub(crate) struct Selection {
    pub(crate) files: Vec<FileSelection>,
    pub(crate) report: PruningReport,
    /// The customers to whom all wanted rows belong, if the filters say.
    pub(crate) customers: Option<RoaringBitmap>,
}

impl Selection {
    /// Leaves out the files that cannot match by what the log says of them, and tells the customers
    /// that the filters leave over; see [`Selection::narrowed`].
    ///
    /// `predicate` is the conjunction of `filters` as far as the engine can evaluate them over
    /// `schema`.
    pub(crate) fn choose(
        pinned: &Pinned,
        pruning: Pruning,
        filters: &[Expr],
        predicate: Option<Arc<dyn PhysicalExpr>>,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let mut files = pinned.snapshot().data_files.values().cloned().collect::<Vec<_>>();
        files.sort_by_key(|file| (file.ts_min_us, file.ingested_from));
        let mut report = PruningReport {
            pruning_off: pruning == Pruning::Off,
            files_total: files.len(),
            rows_total: files.iter().map(|file| file.rows).sum(),
            ..PruningReport::default()
        };
        if pruning == Pruning::Off {
            let files = files.into_iter().map(FileSelection::whole).collect();
            return Ok(Self::reported(files, report, None));
        }
        if let Some(predicate) = predicate {
            files = kept_by_statistics(&files, predicate, schema, &mut report)?;
        }
        let customers = customers_wanted(filters, pinned);
        let known = |wanted| pinned.identities().known_among(wanted);
        report.customers = customers.as_ref().map(known);
        let files = files.into_iter().map(FileSelection::whole).collect();
        Ok(Self::reported(files, report, customers))
    }

    /// Leaves out the files and rows of other customers, as the indexes of the files say.
    pub(crate) async fn narrowed(mut self, pinned: &Pinned) -> Result<Self> {
        let Some(wanted) = self.customers.take() else {
            return Ok(self);
        };
        let files = self.files.into_iter().map(|selected| selected.file).collect();
        let files = kept_by_customers(pinned, files, &wanted, &mut self.report).await?;
        Ok(Self::reported(files, self.report, Some(wanted)))
    }

    /// The customers that the filters leave over, if there are many: then a walk knows their rows
    /// sooner than the indexes of all files tell them.
    pub(crate) fn many_customers(&self) -> Option<&RoaringBitmap> {
        self.customers.as_ref().filter(|customers| customers.len() > IDENTIFIERS_FEW as u64)
    }

    /// The same when it is known that the wanted customers have at most so many rows.
    pub(crate) fn with_rows(&self, rows: u64) -> Self {
        let mut report = self.report;
        report.rows_selected = report.rows_selected.min(rows);
        Self { files: self.files.clone(), report, customers: self.customers.clone() }
    }

    fn reported(
        files: Vec<FileSelection>,
        mut report: PruningReport,
        customers: Option<RoaringBitmap>,
    ) -> Self {
        report.files_kept = files.len();
        report.rows_selected = files.iter().map(FileSelection::rows_selected).sum();
        report.row_ranges = files.iter().filter_map(|file| file.rows.as_ref().map(Vec::len)).sum();
        Self { files, report, customers }
    }
}

/// Leaves out files by time range and event names, and counts which of the two did it.
fn kept_by_statistics(
    files: &[DataFile],
    predicate: Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    report: &mut PruningReport,
) -> Result<Vec<DataFile>> {
    let predicate =
        PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(predicate)?;
    let kept = |about: &[&str]| predicate.prune(&FileStatistics { files, about });
    let by_time = kept(&[TS])?;
    let by_event = kept(&[EVENT])?;
    let by_all = kept(&[TS, EVENT, IDENTIFIER_ID])?;
    let mut left = Vec::new();
    for (place, file) in files.iter().enumerate() {
        match (by_time[place], by_event[place], by_all[place]) {
            (false, _, _) => report.by_time += 1,
            (_, false, _) => report.by_event += 1,
            (_, _, false) => report.by_statistics += 1,
            _ => left.push(file.clone()),
        }
    }
    Ok(left)
}

/// With more identifiers than this, a look at each group is quicker.
const IDENTIFIERS_FEW: usize = 16;

/// Whose rows are wanted.
enum Wanted {
    Few(Vec<u32>),
    /// Whether each identifier is, by its number.
    ByIdentifier(BooleanBuffer),
}

impl Wanted {
    fn ranges(&self, index: &FileIndex) -> Vec<Range<u32>> {
        match self {
            Self::Few(few) => index.row_ranges_of(few),
            // An identifier that the map does not know cannot be left out.
            Self::ByIdentifier(wanted) => index.row_ranges(|identifier| {
                let place = identifier as usize;
                place >= wanted.len() || wanted.value(place)
            }),
        }
    }
}

/// Leaves out files and rows by the customers in them, as their indexes say.
async fn kept_by_customers(
    pinned: &Pinned,
    files: Vec<DataFile>,
    wanted: &RoaringBitmap,
    report: &mut PruningReport,
) -> Result<Vec<FileSelection>> {
    // All identifiers of a snapshot's files are in its map.
    let few = pinned.identities().few_identifiers_of(wanted, IDENTIFIERS_FEW);
    let wanted = Arc::new(match few {
        Some(few) => Wanted::Few(few),
        None => {
            let customers = pinned.identities().as_slice();
            Wanted::ByIdentifier(identifiers_wanted(wanted, customers))
        }
    });
    let ranges = |file: DataFile| {
        let (wanted, store) = (wanted.clone(), pinned.store().clone());
        in_background(async move {
            let index = store.file_index(&file).await?;
            Ok::<_, crate::Error>((file, joined_over_gaps(wanted.ranges(&index))))
        })
    };
    let found = stream::iter(files).map(ranges).buffered(INDEXES_AT_ONCE);
    let found = found.try_collect::<Vec<_>>().await?;
    let mut left = Vec::new();
    for (file, ranges) in found {
        if ranges.is_empty() {
            report.by_customers += 1;
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no exact count")]
        let share = rows_in(&ranges) as f64 / file.rows as f64;
        let rows = (share <= SELECTED_SHARE_MAX).then_some(ranges);
        left.push(FileSelection { file, rows });
    }
    Ok(left)
}

/// A bit for each identifier, true for those of wanted customers: so few bytes that all of them are
/// at hand while indexes are searched.
fn identifiers_wanted(wanted: &RoaringBitmap, customers: &[u32]) -> BooleanBuffer {
    let mut is_wanted = BooleanBufferBuilder::new(customers.len());
    is_wanted.append_n(customers.len(), false);
    for customer in wanted.iter().take_while(|&one| (one as usize) < customers.len()) {
        is_wanted.set_bit(customer as usize, true);
    }
    let is_wanted = is_wanted.build();
    BooleanBuffer::collect_bool(customers.len(), |one| is_wanted.value(customers[one] as usize))
}

fn rows_in(ranges: &[Range<u32>]) -> u64 {
    ranges.iter().map(|range| u64::from(range.end - range.start)).sum()
}

/// Joins ranges with only a few rows between them.
fn joined_over_gaps(ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    let mut joined: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start - last.end < GAP_ROWS_MIN => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use habitue_storage::data_file::FileIndexBuilder;

    #[test]
    fn rows_are_those_of_wanted_customers_and_of_unknown_identifiers() {
        let customers = (0..200_u32).map(|one| if one % 3 == 1 { one - 1 } else { one });
        let customers = customers.collect::<Vec<_>>();
        let wanted = [0, 66, 130, 198, 500].into_iter().collect::<RoaringBitmap>();
        let mut index = FileIndexBuilder::default();
        for identifier in 0..=200 {
            index.push(Some(identifier), Some(identifier)).unwrap();
        }
        let bits = Wanted::ByIdentifier(identifiers_wanted(&wanted, &customers));
        let rows = bits.ranges(&index.finish()).into_iter().flatten();
        let of_wanted = (0..200).filter(|&row: &u32| wanted.contains(customers[row as usize]));
        assert!(rows.eq(of_wanted.chain([200])));
    }

    #[test]
    fn small_gaps_are_read_and_large_ones_skipped() {
        let joined = joined_over_gaps(vec![0..10, 12..20, 500..510]);
        assert_eq!(joined, [0..20, 500..510]);
    }
}
