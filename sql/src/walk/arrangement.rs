//! An arrangement: the rows of many files, numbered anew in the order of the walk.
//!
//! Columns that are kept in this order are read from front to back, and handed out without a copy.
//! An arrangement holds for the files and the identities that it was made of. A later snapshot that
//! only has more files, or customers who were merged since, uses it like one large file beside the
//! new ones.

use crate::walk::runs::{CustomerRuns, Owner, Run};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::DataFile;
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Who stands where in the order of the walk.
pub(crate) struct Arrangement {
    name: Arc<str>,
    /// The files whose rows they are, in the order of their runs.
    files: Vec<DataFile>,
    identities: Arc<IdentityMap>,
    partitions: usize,
    /// By customer: the first row, and how many there are. At the end the rows of nobody, who
    /// stand behind all others.
    spans: Vec<(u32, u32)>,
    rows: u32,
    /// Held while columns are made, so that nobody makes the same ones beside it.
    pub(crate) making: tokio::sync::Mutex<Option<FirstRuns>>,
}

/// The runs that an arrangement was made of: whoever makes the first column takes them.
pub(crate) struct FirstRuns {
    pub(crate) runs: CustomerRuns,
    /// The memory that the pool knows they take.
    pub(crate) _memory: MemoryReservation,
}

impl Arrangement {
    /// Arranges the runs of files for so many partitions; `None` when there are more rows than can
    /// be numbered.
    pub(crate) fn new(
        files: Vec<DataFile>,
        runs: &CustomerRuns,
        partitions: usize,
        identities: Arc<IdentityMap>,
    ) -> Result<Option<Self>> {
        let name = name_of(&files, &identities, partitions);
        let of_partitions = runs.partitions(partitions)?;
        let all = (0..partitions).flat_map(|partition| of_partitions.customers(partition));
        let owners = all.map(|&customer| Owner::Customer(customer)).chain([Owner::Nobody]);
        let mut spans = vec![(0, 0); runs.customers() as usize + 1];
        let mut free = 0_u32;
        for owner in owners {
            let rows = runs.of(owner).iter().map(|run| u64::from(run.rows)).sum::<u64>();
            let after = u32::try_from(u64::from(free) + rows);
            let Ok(after) = after else {
                return Ok(None);
            };
            spans[owner.place(runs.customers() as usize)] = (free, after - free);
            free = after;
        }
        let making = tokio::sync::Mutex::default();
        Ok(Some(Self { name, files, identities, partitions, spans, rows: free, making }))
    }

    /// What its columns are kept under.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn files(&self) -> &[DataFile] {
        &self.files
    }

    pub(crate) fn identities(&self) -> &Arc<IdentityMap> {
        &self.identities
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Where everybody's rows are: the first, and how many. Those of nobody come last.
    pub(crate) fn spans(&self) -> &[(u32, u32)] {
        &self.spans
    }

    /// Some of the rows of the same customers, in the same order; `None` when they are too many.
    pub(crate) fn with_spans(&self, name: Arc<str>, spans: Vec<(u32, u32)>) -> Option<Self> {
        let rows = spans.iter().map(|&(_, rows)| u64::from(rows)).sum::<u64>();
        Some(Self {
            name,
            files: self.files.clone(),
            identities: self.identities.clone(),
            partitions: self.partitions,
            spans,
            rows: u32::try_from(rows).ok()?,
            making: tokio::sync::Mutex::default(),
        })
    }

    /// How much memory it takes, without its columns.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.spans.as_slice())
    }

    /// Whether its rows can be walked under these identities, beside files that it does not know:
    /// all its files are still there, and no customer of it was split.
    pub(crate) fn serves(&self, paths: &HashSet<&str>, identities: &Arc<IdentityMap>) -> bool {
        let is_there = |file: &DataFile| paths.contains(file.object.path.as_str());
        self.files.iter().all(is_there)
            && (Arc::ptr_eq(identities, &self.identities) || self.is_whole_under(identities))
    }

    fn is_whole_under(&self, identities: &IdentityMap) -> bool {
        self.customers().all(|customer| {
            let mut now = self.identities.identifiers_of(customer).iter();
            let first = now.next().map(|&identifier| identities.customer_of(identifier));
            now.all(|&identifier| Some(identities.customer_of(identifier)) == first)
        })
    }

    /// The customers who have rows, as they were when it was made.
    fn customers(&self) -> impl Iterator<Item = u32> {
        let customers = &self.spans[..self.spans.len() - 1];
        (0_u32..).zip(customers).filter(|(_, (_, rows))| *rows > 0).map(|(customer, _)| customer)
    }

    /// Everybody's rows, under these identities.
    pub(crate) fn for_each_run<E>(
        &self,
        number: u32,
        identities: &IdentityMap,
        mut found: impl FnMut(Owner, Run) -> Result<(), E>,
    ) -> Result<(), E> {
        let run = |(start, rows)| Run { file: number, start, rows };
        for customer in self.customers() {
            // The number of a customer is that of one of its identifiers.
            let now = identities.customer_of(customer);
            found(Owner::Customer(now), run(self.spans[customer as usize]))?;
        }
        match self.spans.last() {
            Some(&(start, rows)) if rows > 0 => found(Owner::Nobody, run((start, rows))),
            _ => Ok(()),
        }
    }

    /// How many rows customers have who are known by these identities.
    pub(crate) fn rows_of(&self, customers: &RoaringBitmap, identities: &IdentityMap) -> u64 {
        let numbers = self.spans.len() as u32 - 1;
        let known = customers.iter().take_while(|&customer| (customer as usize) < identities.len());
        // Today's customer may be several of those that were arranged, each by its number.
        let were = known.flat_map(|customer| identities.identifiers_of(customer).iter());
        let rows =
            were.filter(|&&number| number < numbers).map(|&number| self.spans[number as usize].1);
        rows.map(u64::from).sum()
    }

    /// How many rows have a customer.
    pub(crate) fn owned_rows(&self) -> u32 {
        self.rows - self.spans.last().map_or(0, |&(_, rows)| rows)
    }

    /// For each row of the arrangement its row in the files put one after the other. `runs` are
    /// those of the files; `times` the times of all their rows.
    pub(crate) fn order(&self, runs: &CustomerRuns, times: &[i64], threads: usize) -> Vec<u32> {
        let mut first_rows = Vec::with_capacity(self.files.len());
        let mut rows = 0_u32;
        for file in &self.files {
            first_rows.push(rows);
            rows += u32::try_from(file.rows).unwrap_or(u32::MAX);
        }
        let mut owners = (0..runs.customers()).map(Owner::Customer).collect::<Vec<_>>();
        owners.push(Owner::Nobody);
        let span = |owner: &Owner| self.spans[owner.place(runs.customers() as usize)];
        owners.retain(|owner| span(owner).1 > 0);
        owners.sort_unstable_by_key(|owner| span(owner).0);
        let mut order = vec![0_u32; self.rows as usize];
        let part = owners.len().div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            let mut rest = order.as_mut_slice();
            for owners in owners.chunks(part) {
                let rows = owners.iter().map(|owner| span(owner).1 as usize).sum();
                let (mine, others) = std::mem::take(&mut rest).split_at_mut(rows);
                rest = others;
                let first_rows = &first_rows;
                scope.spawn(move || {
                    let mut free = mine;
                    for &owner in owners {
                        let rows = span(&owner).1 as usize;
                        let (own, others) = std::mem::take(&mut free).split_at_mut(rows);
                        free = others;
                        bring_in_order(own, runs.of(owner), first_rows, times);
                    }
                });
            }
        });
        order
    }
}

/// The rows of one customer in order of time; at equal times in that of the files.
fn bring_in_order(order: &mut [u32], runs: &[Run], first_rows: &[u32], times: &[i64]) {
    let mut free = 0;
    let mut before = i64::MIN;
    let mut is_ordered = true;
    for run in runs {
        let start = first_rows[run.file as usize] + run.start;
        // Within a run the rows are in order.
        is_ordered &= before <= times[start as usize];
        before = times[(start + run.rows - 1) as usize];
        for row in start..start + run.rows {
            order[free] = row;
            free += 1;
        }
    }
    if !is_ordered {
        order.sort_by_key(|&row| times[row as usize]);
    }
}

/// Equal for equal contents.
fn name_of(files: &[DataFile], identities: &IdentityMap, partitions: usize) -> Arc<str> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.object.path.hash(&mut hasher);
    }
    identities.as_slice().hash(&mut hasher);
    partitions.hash(&mut hasher);
    let rows = files.iter().map(|file| file.rows).sum::<u64>();
    format!("walk of {} files, {rows} rows, {:016x}", files.len(), hasher.finish()).into()
}

impl fmt::Debug for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrangement({}, {} partitions)", self.name, self.partitions)
    }
}
