//! An arrangement: the rows of many files, numbered anew in the order of the walk.
//!
//! Columns that are kept in this order are read from front to back, and handed out without a copy.
//! An arrangement holds for the files and the identities that it was made of. A later snapshot that
//! only has more files, or customers who were merged since, uses it like one large file beside the
//! new ones.

use crate::walk::partitions::Spreads;
use crate::walk::runs::{CustomerRuns, Owner, Run};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::DataFile;
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    /// By partition: its customers with rows, ascending.
    customers: Arc<Vec<Vec<u32>>>,
    /// How it stands under the identities that were asked about last.
    standing: Mutex<Option<Standing>>,
    /// Held while columns are made, so that nobody makes the same ones beside it.
    pub(crate) making: tokio::sync::Mutex<Option<FirstRuns>>,
}

/// An arrangement under other identities.
struct Standing {
    identities: Weak<IdentityMap>,
    /// The customers, as they were, of whom an identifier has another customer; ascending.
    moved: Arc<Vec<u32>>,
    /// Whether the rows of each customer belong to one customer still.
    is_whole: bool,
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
        spreads: &Spreads,
    ) -> Result<Option<Self>> {
        let name = name_of(&files, &identities, partitions);
        let of_partitions = runs.partitions(partitions, spreads)?;
        let customers = Arc::new(of_partitions.others().to_vec());
        let spans = spans_of(&customers, runs);
        Ok(spans.map(|(spans, rows)| Self {
            name,
            files,
            identities,
            partitions,
            spans,
            rows,
            customers,
            standing: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }))
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
            customers: self.customers.clone(),
            standing: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// The same customers with rows that were picked out of the files, which have these runs.
    pub(crate) fn of_picked(&self, name: Arc<str>, runs: &CustomerRuns) -> Option<Self> {
        self.with_spans(name, spans_of(&self.customers, runs)?.0)
    }

    /// How much memory it takes, without its columns.
    pub(crate) fn bytes(&self) -> usize {
        let customers = self.customers.iter().map(|part| size_of_val(part.as_slice()));
        size_of_val(self.spans.as_slice()) + customers.sum::<usize>()
    }

    /// The customers of a partition who have rows, ascending.
    pub(crate) fn customers_of(&self, partition: usize) -> &[u32] {
        self.customers.get(partition).map_or(&[], Vec::as_slice)
    }

    /// The rows of a customer as they were when it was made, or those of nobody, as the first part of
    /// a walk.
    pub(crate) fn run_of(&self, owner: Owner) -> Option<Run> {
        let (nobody, customers) = self.spans.split_last()?;
        let span = match owner {
            Owner::Customer(customer) => customers.get(customer as usize)?,
            Owner::Nobody => nobody,
        };
        let &(start, rows) = span;
        (rows > 0).then_some(Run { file: 0, start, rows })
    }

    /// Whether its rows can be walked under these identities, beside files that it does not know:
    /// all its files are still there, and no customer of it was split.
    pub(crate) fn serves(&self, paths: &HashSet<&str>, identities: &Arc<IdentityMap>) -> bool {
        let is_there = |file: &DataFile| paths.contains(file.object.path.as_str());
        self.files.iter().all(is_there) && self.standing_under(identities, |now| now.is_whole)
    }

    /// The customers, as they were when it was made, of whom an identifier has another customer under
    /// these identities; ascending.
    pub(crate) fn moved_under(&self, identities: &Arc<IdentityMap>) -> Arc<Vec<u32>> {
        self.standing_under(identities, |now| now.moved.clone())
    }

    fn standing_under<T>(
        &self,
        identities: &Arc<IdentityMap>,
        told: impl FnOnce(&Standing) -> T,
    ) -> T {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = standing.take().filter(|known| known.is_under(identities));
        told(standing.insert(known.unwrap_or_else(|| self.compared(identities))))
    }

    fn compared(&self, identities: &Arc<IdentityMap>) -> Standing {
        let moved = identities.moved_since(&self.identities);
        // Whoever moved away alone, and left others behind, was split from them.
        let is_split = |&identifier: &u32| {
            let before = self.identities.customer_of(identifier);
            self.run_of(Owner::Customer(before)).is_some()
                && identities.customer_of(identifier) != identities.customer_of(before)
        };
        let is_whole = !moved.iter().any(is_split);
        let customers = moved.into_iter().map(|one| self.identities.customer_of(one));
        let mut moved = customers.collect::<Vec<_>>();
        moved.sort_unstable();
        moved.dedup();
        Standing { identities: Arc::downgrade(identities), moved: Arc::new(moved), is_whole }
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
    /// those of the files, which have so many rows each; `times` the times of all their rows.
    pub(crate) fn order(
        &self,
        runs: &CustomerRuns,
        rows: &[usize],
        times: &[i64],
        threads: usize,
    ) -> Vec<u32> {
        let mut first_rows = Vec::with_capacity(rows.len());
        let mut before = 0_u32;
        for &rows in rows {
            first_rows.push(before);
            before += u32::try_from(rows).unwrap_or(u32::MAX);
        }
        let span = |owner: &Owner| self.spans[owner.place(runs.customers() as usize)];
        let owners = self.customers.iter().flatten().map(|&customer| Owner::Customer(customer));
        let owners = owners.chain([Owner::Nobody]).collect::<Vec<_>>();
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

/// Where the rows of these customers, by partition, come to stand one after the other, and behind them
/// those of nobody; and how many there are. `None` when they are too many to be numbered.
fn spans_of(customers: &[Vec<u32>], runs: &CustomerRuns) -> Option<(Vec<(u32, u32)>, u32)> {
    let all = customers.iter().flatten();
    let owners = all.map(|&customer| Owner::Customer(customer)).chain([Owner::Nobody]);
    let mut spans = vec![(0, 0); runs.customers() as usize + 1];
    let mut free = 0_u32;
    for owner in owners {
        let rows = runs.of(owner).map(|run| u64::from(run.rows)).sum::<u64>();
        let after = u32::try_from(u64::from(free) + rows).ok()?;
        spans[owner.place(runs.customers() as usize)] = (free, after - free);
        free = after;
    }
    Some((spans, free))
}

/// The rows of one customer in order of time; at equal times in that of the files.
fn bring_in_order(
    order: &mut [u32],
    runs: impl Iterator<Item = Run>,
    first_rows: &[u32],
    times: &[i64],
) {
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

impl Standing {
    fn is_under(&self, identities: &Arc<IdentityMap>) -> bool {
        std::ptr::eq(self.identities.as_ptr(), Arc::as_ptr(identities))
    }
}

impl fmt::Debug for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrangement({}, {} partitions)", self.name, self.partitions)
    }
}
