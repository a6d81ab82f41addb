//! Days of customers: of all rows that a customer has on one day with the same labels, the first.
//!
//! Who only asks on which days somebody was there, or in which weeks, gets the same answer from
//! these rows as from all of them. They are made of the columns of an [`Arrangement`] when these are
//! kept, or picked out of its files, and stand in its place from then on; files that came later are
//! walked beside them as they are.

use crate::hot::{HotColumn, HotColumns, Labels, Wanted, arranged, times_of_all};
use crate::walk::arrangement::Arrangement;
use crate::walk::exec::{WalkSource, Walked};
use crate::walk::files::{WalkPart, joined};
use crate::walk::picked::{Picker, Picking};
use crate::walk::plan::runs_of;
use crate::walk::runs::{Owner, Run};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A day, in µs.
pub(crate) const DAY_US: i64 = 86_400_000_000;
/// With more tuples of labels than this, hardly two rows of a day are alike.
const TUPLES_MAX: usize = 1 << 16;
/// Days are used when they have at most one row of so many.
const WORTH_PART: usize = 2;
/// Rows whose tuples are looked up at once.
const BLOCK_ROWS: usize = 8 * 1024;

/// A walk's wish for days instead of all rows.
#[derive(Debug)]
pub(crate) struct Days {
    /// The columns of times and labels, by their places among those that are read.
    columns: Vec<usize>,
    walked: OnceCell<Walked>,
}

impl Days {
    pub(crate) fn new(columns: Vec<usize>) -> Self {
        Self { columns, walked: OnceCell::new() }
    }

    /// The days of what is arranged, and all rows of other files; all rows where most rows are the
    /// only ones of their day, or memory is too small.
    pub(crate) async fn walked(&self, source: &WalkSource) -> Result<Walked> {
        let made = self.walked.get_or_try_init(|| self.made(source));
        made.await.cloned()
    }

    async fn made(&self, source: &WalkSource) -> Result<Walked> {
        let Some((days, columns)) = self.days(source).await? else {
            return source.whole().await;
        };
        let mut parts = source.files.parts.clone();
        parts[0] = WalkPart::Arranged(days);
        let runs = runs_of(&source.pinned, &parts).await.map_err(DataFusionError::from)?;
        let Some(runs) = runs else {
            return source.whole().await;
        };
        let others = source.files.clone().load_from(1).await?;
        let of_days = self.columns.iter().copied().zip(columns);
        Ok(Walked { files: Arc::new(others.with_first_part(of_days)), runs })
    }

    /// Those that are kept, or new ones.
    async fn days(&self, source: &WalkSource) -> Result<Option<MadeDays>> {
        let Some(WalkPart::Arranged(arrangement)) = source.files.parts.first() else {
            return Ok(None);
        };
        let schema = Arc::new(source.files.schema.project(&self.columns)?);
        let name = name_of(arrangement, &schema);
        let hot = &source.files.hot;
        if hot.runs().are_days_vain(&name) {
            return Ok(None);
        }
        // Somebody else may be making the same.
        let _making = arrangement.making.lock().await;
        let known = hot.runs().days(&name);
        if let Some(days) = known
            && let Some(columns) = kept(hot, &name, &schema)
        {
            return Ok(Some((days, columns)));
        }
        let made = match kept(hot, arrangement.name(), &schema) {
            Some(columns) => of_arranged(source, arrangement, &name, columns).await?,
            None => of_files(source, arrangement, &name, &schema).await?,
        };
        let Made::Days(days, columns) = made else {
            if matches!(made, Made::TooMany) {
                hot.runs().keep_vain_days(name);
            }
            return Ok(None);
        };
        let wanted = Wanted { path: name, rows: u64::from(days.rows()), is_made: false };
        let (Ok(room), Some(memory)) =
            (hot.room(std::slice::from_ref(&wanted), &schema), hot.reserve(days.bytes()))
        else {
            return Ok(None);
        };
        hot.runs().keep_days(days.clone(), memory);
        let columns = columns.into_iter().map(Arc::new).collect::<Vec<_>>();
        for (column, field) in columns.iter().zip(schema.fields()) {
            room.fill(&wanted, field.name(), column.clone());
        }
        Ok(Some((days, columns)))
    }
}

/// Days and their columns.
type MadeDays = (Arc<Arrangement>, Vec<Arc<HotColumn>>);

/// What comes of making days.
enum Made {
    Days(Arc<Arrangement>, Vec<HotColumn>),
    /// Hardly two rows are of the same day.
    TooMany,
    /// Memory is too small now.
    NoRoom,
}

/// Days of columns that are arranged.
async fn of_arranged(
    source: &WalkSource,
    arrangement: &Arc<Arrangement>,
    name: &Arc<str>,
    columns: Vec<Arc<HotColumn>>,
) -> Result<Made> {
    let (threads, arrangement, name) = (source.files.threads, arrangement.clone(), name.clone());
    let bytes = arrangement.rows() as usize * size_of::<u32>();
    let Some(_passing) = source.files.hot.reserve(bytes) else {
        return Ok(Made::NoRoom);
    };
    let made = SpawnedTask::spawn_blocking(move || days_of(&arrangement, &name, &columns, threads));
    let made = made.join().await.map_err(joined)?;
    Ok(made.map_or(Made::TooMany, |(days, columns)| Made::Days(Arc::new(days), columns)))
}

/// Days of columns that stand in files still: only the rows that are needed are arranged.
async fn of_files(
    source: &WalkSource,
    arrangement: &Arc<Arrangement>,
    name: &Arc<str>,
    schema: &SchemaRef,
) -> Result<Made> {
    let picker = Picker {
        store: source.files.store.clone(),
        hot: source.files.hot.clone(),
        identities: arrangement.identities().clone(),
        schema: schema.clone(),
        picking: Picking::FirstOfDay((0..schema.fields().len()).collect()),
        threads: source.files.threads,
    };
    if !picker.fits(arrangement.files()) {
        return Ok(Made::NoRoom);
    }
    let rows_max = arrangement.rows() as usize / WORTH_PART;
    let Some(picked) = picker.pick(arrangement.files(), rows_max).await? else {
        return Ok(Made::TooMany);
    };
    let (threads, arrangement, name) = (source.files.threads, arrangement.clone(), name.clone());
    let made = SpawnedTask::spawn_blocking(move || {
        let days = arrangement.of_picked(name, &picked.runs)?;
        let by_column = |column: usize| {
            picked.columns.iter().map(|file| file[column].clone()).collect::<Vec<_>>()
        };
        let times = times_of_all(&by_column(0));
        let order = days.order(&picked.runs, &picked.rows, &times, threads);
        let columns = (0..picked.columns.first()?.len())
            .map(|column| arranged(&by_column(column), &picked.rows, &order, order.len(), threads));
        Some((days, columns.collect::<Option<Vec<_>>>()?))
    });
    let made = made.join().await.map_err(joined)?;
    Ok(made.map_or(Made::TooMany, |(days, columns)| Made::Days(Arc::new(days), columns)))
}

fn name_of(arrangement: &Arrangement, schema: &Schema) -> Arc<str> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    format!("days of {}: {}", arrangement.name(), names.collect::<Vec<_>>().join(", ")).into()
}

/// The columns, if all of them are kept.
fn kept(hot: &HotColumns, name: &str, schema: &Schema) -> Option<Vec<Arc<HotColumn>>> {
    schema.fields().iter().map(|field| hot.find(name, field.name())).collect()
}

/// The days of an arrangement and their columns; the first of `columns` are its times.
fn days_of(
    arrangement: &Arrangement,
    name: &Arc<str>,
    columns: &[Arc<HotColumn>],
    threads: usize,
) -> Option<(Arrangement, Vec<HotColumn>)> {
    let (times, labels) = columns.split_first()?;
    let labels = labels.iter().map(|column| column.labels()).collect::<Option<Vec<_>>>()?;
    let (rows, spans) = first_rows(arrangement.spans(), times.times(), &labels, threads)?;
    let days = arrangement.with_spans(name.clone(), spans)?;
    let all = [arrangement.rows() as usize];
    let column = |column: &Arc<HotColumn>| {
        arranged(std::slice::from_ref(column), &all, &rows, rows.len(), threads)
    };
    let columns = columns.iter().map(column).collect::<Option<Vec<_>>>()?;
    Some((days, columns))
}

type Spans = Vec<(u32, u32)>;

/// The rows that are the first of their customer, day and labels, ascending, and where those of each
/// customer are among them. `spans` says where the rows of each customer are among all rows: the
/// first one and how many, in order of time. `None` when too few rows are left out.
fn first_rows(
    spans: &[(u32, u32)],
    times: &[i64],
    labels: &[&Labels],
    threads: usize,
) -> Option<(Vec<u32>, Spans)> {
    let tuples = tuples_of(labels)?;
    let mut owners = (0..spans.len()).filter(|&place| spans[place].1 > 0).collect::<Vec<_>>();
    owners.sort_unstable_by_key(|&place| spans[place].0);
    let part = owners.len().div_ceil(threads.max(1)).max(1);
    let parts = std::thread::scope(|scope| {
        let found = owners.chunks(part).map(|owners| {
            scope.spawn(move || {
                let mut first = FirstRows::new(times, labels, tuples);
                for &owner in owners {
                    first.of_span(spans[owner]);
                    if first.found.len() * WORTH_PART > times.len() {
                        break;
                    }
                }
                (first.found, first.counts)
            })
        });
        let found = found.collect::<Vec<_>>();
        found.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut rows = Vec::new();
    let mut counts = Vec::with_capacity(owners.len());
    for part in parts {
        // A panic there is one here.
        let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rows.extend(part.0);
        counts.extend(part.1);
    }
    let mut days = vec![(0, 0); spans.len()];
    let mut start = 0_u32;
    for (&owner, count) in owners.iter().zip(counts) {
        days[owner] = (start, count);
        start += count;
    }
    (rows.len() * WORTH_PART <= times.len()).then_some((rows, days))
}

/// The rows of a file that are the first of their customer, day and labels, ascending. `runs` says
/// whose its rows are, one after the other; the first of `columns` are its times, the others labels.
pub(super) fn first_rows_of_file(runs: &[(Owner, Run)], columns: &[Arc<HotColumn>]) -> Vec<u32> {
    let (times, labels) = columns.split_at(columns.len().min(1));
    let times = times.first().map_or(&[][..], |column| column.times());
    let labels = labels.iter().filter_map(|column| column.labels()).collect::<Vec<_>>();
    let Some(tuples) = tuples_of(&labels) else {
        return (0..times.len() as u32).collect();
    };
    let mut first = FirstRows::new(times, &labels, tuples);
    runs.iter().for_each(|(_, run)| first.of_span((run.start, run.rows)));
    first.found
}

/// How many tuples of labels there may be; `None` when they are too many.
fn tuples_of(labels: &[&Labels]) -> Option<usize> {
    let mut values = labels.iter().map(|labels| labels.values().len().max(1));
    values.try_fold(1_usize, usize::checked_mul).filter(|&all| all <= TUPLES_MAX)
}

/// Looks for the first rows of days.
struct FirstRows<'a> {
    times: &'a [i64],
    labels: &'a [&'a Labels],
    /// The rows whose tuples of labels are in `tuples`.
    block: Range<usize>,
    tuples: Vec<u32>,
    /// By tuple: the number of the day on which it was seen last.
    seen: Vec<u32>,
    /// How many days of customers there were.
    days: u32,
    found: Vec<u32>,
    /// How many were found of each customer.
    counts: Vec<u32>,
}

impl<'a> FirstRows<'a> {
    fn new(times: &'a [i64], labels: &'a [&'a Labels], tuples: usize) -> Self {
        Self {
            times,
            labels,
            block: 0..0,
            tuples: Vec::new(),
            seen: vec![0; tuples],
            days: 0,
            found: Vec::new(),
            counts: Vec::new(),
        }
    }

    fn of_span(&mut self, (start, rows): (u32, u32)) {
        let before = self.found.len();
        let mut day_end = i64::MIN;
        for row in start as usize..(start + rows) as usize {
            if !self.block.contains(&row) {
                self.read_block(row);
            }
            let ts = self.times[row];
            if ts >= day_end {
                self.days += 1;
                day_end = ts.div_euclid(DAY_US).saturating_add(1).saturating_mul(DAY_US);
            }
            let seen = &mut self.seen[self.tuples[row - self.block.start] as usize];
            if *seen != self.days {
                *seen = self.days;
                self.found.push(row as u32);
            }
        }
        self.counts.push((self.found.len() - before) as u32);
    }

    fn read_block(&mut self, first: usize) {
        self.block = first..(first + BLOCK_ROWS).min(self.times.len());
        self.tuples.clear();
        self.tuples.resize(self.block.len(), 0);
        let (mut radix, mut digits) = (1, Vec::new());
        for labels in self.labels {
            let values = labels.values().len();
            let table = (0..values).map(|code| (code * radix) as u32).collect::<Vec<_>>();
            digits.clear();
            labels.codes().translated(self.block.clone(), &table, &mut digits);
            self.tuples.iter_mut().zip(&digits).for_each(|(tuple, digit)| *tuple += digit);
            radix *= values.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn labels(texts: &[Option<&str>]) -> Labels {
        let mut labels = Labels::default();
        labels.append(&texts.iter().copied().collect::<DictionaryArray<Int32Type>>()).unwrap();
        labels
    }

    /// Rows of customers, each one's in order of time: the day, the hour, and two labels.
    fn rows() -> impl Strategy<Value = Vec<Vec<(i64, i64, u8, u8)>>> {
        let row = (-2..3_i64, 0..24_i64, 0..3_u8, 0..2_u8);
        let customer = prop::collection::vec(row, 0..40).prop_map(|mut rows| {
            rows.sort_unstable();
            rows
        });
        prop::collection::vec(customer, 1..6)
    }

    proptest! {
        // If this fails, somebody is not counted on a day.
        #[test]
        fn the_first_rows_are_those_of_new_days_and_labels(customers in rows(), threads in 1..4_usize) {
            let all = customers.concat();
            let times = all.iter().map(|row| row.0 * DAY_US + row.1 * DAY_US / 24);
            let times = times.collect::<Vec<_>>();
            let texts = [None, Some("a"), Some("b")];
            let first = labels(&all.iter().map(|row| texts[usize::from(row.2)]).collect::<Vec<_>>());
            let second = labels(&all.iter().map(|row| texts[usize::from(row.3)]).collect::<Vec<_>>());
            let (mut spans, mut expected, mut days) = (Vec::new(), Vec::new(), Vec::new());
            let mut start = 0;
            for rows in &customers {
                spans.push((start, rows.len() as u32));
                let (mut seen, before) = (BTreeSet::new(), expected.len());
                for (row, &(day, _, a, b)) in (start..).zip(rows) {
                    if seen.insert((day, a, b)) {
                        expected.push(row);
                    }
                }
                start += rows.len() as u32;
                days.push((before as u32, (expected.len() - before) as u32));
            }
            days.iter_mut().filter(|(_, rows)| *rows == 0).for_each(|span| *span = (0, 0));
            let found = first_rows(&spans, &times, &[&first, &second], threads);
            let is_worth_it = expected.len() * WORTH_PART <= all.len();
            prop_assert_eq!(found, is_worth_it.then_some((expected, days)));
        }
    }
}
