//! Rows that are picked out of files while these are read, before anything is kept or arranged.
//!
//! A first question mostly needs few of the rows: those that pass a filter about labels, or the
//! first of each day of a customer. Some rows after the other are decoded of each file, those that
//! are needed are taken out, and the others are forgotten.

use crate::hot::{ColumnKind, HotColumn, HotColumns, arranged, decode_parts};
use crate::walk::days::first_rows_of_file;
use crate::walk::files::{LoadedFiles, columns_of_file, in_background};
use crate::walk::output::{AllLabels, LabelExpression};
use crate::walk::plan::indexed_file;
use crate::walk::row_test::{RowTest, keep};
use crate::walk::runs::{CustomerRuns, IndexedFile, Owner, Run, for_each_run};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::data_file::ROW_GROUP_ROWS;
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which rows are needed.
#[derive(Clone)]
pub(crate) enum Picking {
    /// The first of each day of a customer with the same labels: the places of the times and of the
    /// labels among the columns.
    FirstOfDay(Vec<usize>),
    /// Those that pass one of the tests of each of these; all when there are none.
    Passing(Vec<Vec<LabelExpression>>),
}

/// Reads files for some of their rows.
#[derive(Clone)]
pub(crate) struct Picker {
    pub(crate) store: Store,
    pub(crate) hot: Arc<HotColumns>,
    pub(crate) identities: Arc<IdentityMap>,
    /// The columns to read.
    pub(crate) schema: SchemaRef,
    pub(crate) picking: Picking,
    pub(crate) threads: usize,
}

/// What was picked of files.
pub(crate) struct Picked {
    /// How many rows of each file.
    pub(crate) rows: Vec<usize>,
    /// By file: its columns, of these rows only.
    pub(crate) columns: Vec<Vec<Arc<HotColumn>>>,
    /// Whose rows they are, counted by picked rows.
    pub(crate) runs: CustomerRuns,
    pub(crate) memory: MemoryReservation,
}

struct PickedFile {
    rows: usize,
    columns: Vec<Arc<HotColumn>>,
    runs: Vec<(Owner, Run)>,
}

impl Picker {
    /// Whether memory suffices for reading these files.
    pub(crate) fn fits(&self, files: &[DataFile]) -> bool {
        self.passing(files).is_ok()
    }

    /// Picks at most so many rows; `None` when there are more.
    pub(crate) async fn pick(&self, files: &[DataFile], rows_max: usize) -> Result<Option<Picked>> {
        let passing = self.passing(files)?;
        let found = Arc::new(AtomicUsize::new(0));
        let numbered = (0..).zip(files.to_vec());
        let picked = stream::iter(numbered).map(|(number, file)| {
            let (picker, found) = (self.clone(), found.clone());
            in_background(async move {
                if found.load(Ordering::Relaxed) > rows_max {
                    return Ok(None);
                }
                let picked = picker.of_file(number, file).await?;
                found.fetch_add(picked.rows, Ordering::Relaxed);
                Ok::<_, DataFusionError>(Some(picked))
            })
        });
        let picked = picked.buffered(self.threads.max(1)).try_collect::<Vec<_>>().await?;
        drop(passing);
        if found.load(Ordering::Relaxed) > rows_max {
            return Ok(None);
        }
        let picked = picked.into_iter().flatten().collect::<Vec<_>>();
        let runs = picked.iter().map(|file| file.runs.as_slice()).collect::<Vec<_>>();
        let runs = CustomerRuns::of_found(&runs, &self.identities)?;
        let columns = picked.iter().flat_map(|file| &file.columns);
        let bytes = columns.map(|column| column.bytes()).sum::<usize>() + runs.bytes();
        let memory = self.hot.reserve(bytes).ok_or_else(|| no_room(bytes))?;
        let rows = picked.iter().map(|file| file.rows).collect();
        let columns = picked.into_iter().map(|file| file.columns).collect();
        Ok(Some(Picked { rows, columns, runs, memory }))
    }

    /// The memory of what is decoded for the moment.
    fn passing(&self, files: &[DataFile]) -> Result<MemoryReservation> {
        let fields = self.schema.fields().iter();
        let kinds = fields.filter_map(|field| ColumnKind::of(field.name(), field.data_type()));
        let columns = kinds.map(ColumnKind::bytes_per_row).sum::<usize>();
        let rows = files.iter().map(|file| file.rows as usize).sum::<usize>();
        let rows = match self.picks_all() {
            true => rows,
            false => rows.min(self.threads.max(1) * ROW_GROUP_ROWS),
        };
        let bytes = rows * columns;
        self.hot.reserve(bytes).ok_or_else(|| no_room(bytes))
    }

    /// Whether no row is left out.
    pub(crate) fn picks_all(&self) -> bool {
        matches!(&self.picking, Picking::Passing(filters) if filters.is_empty())
    }

    /// Whether rows of one day are left out.
    pub(crate) fn picks_days(&self) -> bool {
        matches!(self.picking, Picking::FirstOfDay(_))
    }

    async fn of_file(&self, number: u32, file: DataFile) -> Result<PickedFile> {
        let indexed = indexed_file(&self.store, &file, &self.identities).await?;
        let mut picking = FilePicking::new(self, number, &indexed)?;
        let found = self.hot.found(&file.object.path, &self.schema);
        if self.picks_all() || found.missing(&self.schema)?.is_none() {
            let (hot, store, rows) = (self.hot.clone(), self.store.clone(), file.rows as usize);
            let columns = columns_of_file(hot, store, file, self.schema.clone()).await?;
            if self.picks_all() {
                return Ok(PickedFile { rows, columns, runs: picking.runs });
            }
            picking.add(0, rows, &columns)?;
        } else {
            decode_parts(&self.store, &file, self.schema.clone(), |first, rows, columns| {
                let columns = columns.into_iter().map(Arc::new).collect::<Vec<_>>();
                Ok(picking.add(first, rows, &columns)?)
            })
            .await?;
        }
        picking.finish()
    }

    /// The needed ones of so many rows, of which the runs say whose they are.
    fn needed(
        &self,
        columns: &[Arc<HotColumn>],
        runs: &[(Owner, Run)],
        rows: usize,
    ) -> Result<Vec<u32>> {
        match &self.picking {
            Picking::FirstOfDay(places) => {
                let columns = places.iter().map(|&place| columns[place].clone());
                Ok(first_rows_of_file(runs, &columns.collect::<Vec<_>>()))
            }
            Picking::Passing(filters) => rows_that_pass(columns, rows as u32, filters),
        }
    }
}

/// What was picked of a file so far.
struct FilePicking<'a> {
    picker: &'a Picker,
    /// Whose the rows of the file are, and those of them that are ahead.
    runs: Vec<(Owner, Run)>,
    next_run: usize,
    /// The first row without an identifier.
    owned_end: usize,
    rows: Vec<u32>,
    /// Picked rows of parts of the file: how many, how many of them have an identifier, the columns.
    parts: Vec<(usize, usize, Vec<Arc<HotColumn>>)>,
}

impl<'a> FilePicking<'a> {
    fn new(picker: &'a Picker, number: u32, file: &IndexedFile) -> Result<Self> {
        let mut runs = Vec::new();
        for_each_run(number, file, &picker.identities, |owner, run| {
            runs.push((owner, run));
            Ok(())
        })?;
        let owned_end = file.index.rows_without_identifier().start as usize;
        let (rows, parts) = (Vec::new(), Vec::new());
        Ok(Self { picker, runs, next_run: 0, owned_end, rows, parts })
    }

    /// Picks among the next rows of the file.
    fn add(&mut self, first: usize, rows: usize, columns: &[Arc<HotColumn>]) -> Result<()> {
        let runs = self.runs_of_part(first as u32, (first + rows) as u32);
        let needed = self.picker.needed(columns, &runs, rows)?;
        let owned = needed.partition_point(|&row| first + (row as usize) < self.owned_end);
        let columns = columns.iter().map(|column| picked(column, rows, &needed, owned));
        self.parts.push((needed.len(), owned, columns.collect::<Result<_>>()?));
        self.rows.extend(needed.iter().map(|row| first as u32 + row));
        Ok(())
    }

    /// Whose the rows between these two are, counted from the first.
    fn runs_of_part(&mut self, first: u32, end: u32) -> Vec<(Owner, Run)> {
        let mut runs = Vec::new();
        while let Some((owner, run)) = self.runs.get(self.next_run) {
            let run_end = run.start + run.rows;
            let (from, to) = (run.start.max(first), run_end.min(end));
            if from < to {
                runs.push((*owner, Run { start: from - first, rows: to - from, ..*run }));
            }
            if run_end > end {
                break;
            }
            self.next_run += 1;
        }
        runs
    }

    fn finish(self) -> Result<PickedFile> {
        let rows = self.parts.iter().map(|(rows, ..)| *rows).collect::<Vec<_>>();
        let owned = self.parts.iter().map(|(_, owned, _)| owned).sum();
        let order = (0..self.rows.len() as u32).collect::<Vec<_>>();
        let width = self.parts.first().map_or(0, |(.., columns)| columns.len());
        let columns = (0..width).map(|place| {
            let parts = self.parts.iter().map(|(.., columns)| columns[place].clone());
            let parts = parts.collect::<Vec<_>>();
            match parts.as_slice() {
                [part] => Ok(part.clone()),
                _ => arranged(&parts, &rows, &order, owned, 1).map(Arc::new).ok_or_else(unlike),
            }
        });
        let columns = columns.collect::<Result<_>>()?;
        let runs = runs_among(&self.runs, &self.rows);
        Ok(PickedFile { rows: self.rows.len(), columns, runs })
    }
}

/// These of so many rows of a column, of which so many have an identifier.
fn picked(
    column: &Arc<HotColumn>,
    rows: usize,
    needed: &[u32],
    owned: usize,
) -> Result<Arc<HotColumn>> {
    let column = std::slice::from_ref(column);
    arranged(column, &[rows], needed, owned, 1).map(Arc::new).ok_or_else(unlike)
}

fn unlike() -> DataFusionError {
    DataFusionError::Internal("columns of a file cannot be put together".into())
}

/// The rows of a file that pass one of the tests of each of these, ascending.
fn rows_that_pass(
    columns: &[Arc<HotColumn>],
    rows: u32,
    filters: &[Vec<LabelExpression>],
) -> Result<Vec<u32>> {
    let file = LoadedFiles::of_parts(&[columns.to_vec()], Arc::new(()));
    let mut kept = vec![Run { file: 0, start: 0, rows }];
    let mut marks = Vec::new();
    for tests in filters {
        let test = |test: &LabelExpression| {
            let labels = AllLabels::of(&file, test.column);
            Ok(RowTest::new(test.column, labels.passes(test.expression.as_ref())?))
        };
        let tests = tests.iter().map(test).collect::<Result<Vec<_>>>()?;
        let tested = std::mem::take(&mut kept);
        keep(&tested, &tests, &file, &mut marks, &mut kept);
    }
    Ok(kept.into_iter().flat_map(|run| run.start..run.start + run.rows).collect())
}

/// Whose the picked rows are, counted among themselves; both ascend.
fn runs_among(runs: &[(Owner, Run)], rows: &[u32]) -> Vec<(Owner, Run)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (owner, run) in runs {
        let of_run = rows[start..].iter().take_while(|&&row| row < run.start + run.rows).count();
        if of_run > 0 {
            found.push((*owner, Run { file: run.file, start: start as u32, rows: of_run as u32 }));
        }
        start += of_run;
    }
    found
}

fn no_room(bytes: usize) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!(
        "the memory limit leaves no room to read columns. wanted={bytes} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        // If this fails, a picked row is given to somebody else.
        #[test]
        fn picked_rows_stay_with_whom_they_belong_to(
            lengths in prop::collection::vec(1..9_u32, 1..12),
            picked in prop::collection::btree_set(0..100_u32, 0..40),
        ) {
            let mut runs = Vec::new();
            let mut start = 0;
            for (customer, &rows) in (0..).zip(&lengths) {
                runs.push((Owner::Customer(customer * 2), Run { file: 3, start, rows }));
                start += rows;
            }
            let rows = picked.into_iter().filter(|&row| row < start).collect::<Vec<_>>();
            let of = |row: u32| {
                let is_in = |(_, run): &&(Owner, Run)| run.range().contains(&(row as usize));
                runs.iter().find(is_in).map(|(owner, _)| *owner)
            };
            let found = runs_among(&runs, &rows);
            prop_assert!(found.iter().all(|(_, run)| run.file == 3 && run.rows > 0));
            let owners = found.iter().flat_map(|(owner, run)| vec![Some(*owner); run.rows as usize]);
            prop_assert_eq!(owners.collect::<Vec<_>>(), rows.iter().map(|&row| of(row)).collect::<Vec<_>>());
            let starts = found.iter().map(|(_, run)| run.start).collect::<BTreeSet<_>>();
            prop_assert_eq!(starts.len(), found.len());
        }
    }
}
