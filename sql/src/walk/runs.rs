//! Where each customer's rows lie, under one identity map.

use crate::walk::arrangement::Arrangement;
use crate::walk::partitions::{Partitions, Spreads};
use crate::walk::places::Places;
use datafusion::error::{DataFusionError, Result};
use habitue_storage::data_file::FileIndex;
use habitue_storage::identity::IdentityMap;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Of files with less than one row for so many customers, only those who have one are listed.
const FEW_PART: usize = 4;

/// Fewer customers are not worth a thread.
const SHARE_MIN: usize = 1 << 16;

/// Rows of a data file that stand side by side and belong to one customer, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The place of the file among those of the snapshot.
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) rows: u32,
}

impl Run {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.rows) as usize
    }
}

/// All runs of a snapshot by customer; those of one customer in the order of the files.
///
/// Beside an arrangement only those are listed of whom it does not say all: who has rows in other
/// files, and who merged since. So runs after a commit are made in the time of what changed.
#[derive(Debug)]
pub(crate) struct CustomerRuns {
    /// How many numbers of customers there are.
    customers: u32,
    /// What says where the rows lie of those who are not listed. It comes first among the parts.
    arrangement: Option<Arc<Arrangement>>,
    /// Who is listed; the rows of nobody are those of the number after the last customer.
    listed: Places,
    /// The runs of the one who is listed at a place are `starts[place]..starts[place + 1]`.
    starts: Vec<u32>,
    runs: Vec<Run>,
    partitions: Mutex<HashMap<usize, Arc<Partitions>>>,
}

/// Whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Customer(u32),
    Nobody,
}

impl Owner {
    /// The number that a query sees; none for nobody.
    pub(crate) fn customer_id(self) -> Option<i64> {
        match self {
            Self::Customer(customer) => Some(i64::from(customer)),
            Self::Nobody => None,
        }
    }

    pub(crate) fn place(self, customers: usize) -> usize {
        match self {
            Self::Customer(customer) => customer as usize,
            Self::Nobody => customers,
        }
    }
}

/// One data file as the runs are made from it: its index, and its identifiers when a group of it
/// belongs to several customers.
pub(crate) struct IndexedFile {
    pub(crate) index: Arc<FileIndex>,
    pub(crate) identifiers: Option<Vec<u32>>,
}

/// Whether a group of the file belongs to several customers today.
pub(crate) fn has_split_groups(index: &FileIndex, map: &IdentityMap) -> bool {
    index.groups().any(|group| customers_differ(group.identifiers, map))
}

fn customers_differ(identifiers: &[u32], map: &IdentityMap) -> bool {
    let Some((&first, others)) = identifiers.split_first() else {
        return false;
    };
    !others.is_empty() && {
        let customer = map.customer_of(first);
        others.iter().any(|&other| map.customer_of(other) != customer)
    }
}

impl CustomerRuns {
    /// The runs of these files, in their order.
    pub(crate) fn of_files(files: &[IndexedFile], map: &IdentityMap) -> Result<Self> {
        let rows = files.iter().map(|file| file.index.rows() as usize).sum::<usize>();
        match rows.saturating_mul(FEW_PART) < map.len() {
            true => Self::listing(None, files, map),
            false => Self::of_all(files, map),
        }
    }

    /// Runs that were found file by file, in the order of the files.
    pub(crate) fn of_found(files: &[&[(Owner, Run)]], map: &IdentityMap) -> Result<Self> {
        let customers = map.len();
        let found = || files.iter().flat_map(|runs| runs.iter());
        let mut counts = vec![0_u32; customers + 1];
        for (owner, _) in found() {
            counts[known(*owner, customers)?] += 1;
        }
        let mut table = RunTable::with_counts(&counts);
        let mut all = table.whole();
        found().for_each(|(owner, run)| all.put(owner.place(customers), *run));
        Ok(Self::new(customers, None, Places::All(customers + 1), table))
    }

    /// The runs of an arrangement and of files that came later, in their order. The arrangement must
    /// serve this map.
    pub(crate) fn beside(
        arrangement: Arc<Arrangement>,
        files: &[IndexedFile],
        map: &Arc<IdentityMap>,
    ) -> Result<Self> {
        Self::listing(Some((arrangement, map)), files, map)
    }

    /// Everybody is listed.
    fn of_all(files: &[IndexedFile], map: &IdentityMap) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of_shares(files, map, (map.len() + 1).div_ceil(threads).max(SHARE_MIN))
    }

    /// Two passes over all runs, which are nowhere in between. Each thread looks at all of them and
    /// lists those of its share, so many customers.
    fn of_shares(files: &[IndexedFile], map: &IdentityMap, share: usize) -> Result<Self> {
        let customers = map.len();
        let mut counts = vec![0_u32; customers + 1];
        by_all((0..).step_by(share).zip(counts.chunks_mut(share)), |(first, counts)| {
            let places = first..first + counts.len();
            for_each_run_in(places, files, map, |place, _| counts[place] += 1)
        })?;
        let mut table = RunTable::with_counts(&counts);
        by_all((0..).step_by(share).zip(table.shares(share)), |(first, mut table)| {
            let places = first..first + table.free.len();
            for_each_run_in(places, files, map, |place, run| table.put(place, run))
        })?;
        Ok(Self::new(customers, None, Places::All(customers + 1), table))
    }

    /// Only those are listed who have rows in the files, or of whom the arrangement is not true.
    fn listing(
        beside: Option<(Arc<Arrangement>, &Arc<IdentityMap>)>,
        files: &[IndexedFile],
        map: &IdentityMap,
    ) -> Result<Self> {
        let customers = map.len();
        let mut later = Vec::new();
        for (number, file) in (u32::from(beside.is_some())..).zip(files) {
            for_each_run(number, file, map, |owner, run| {
                later.push((known(owner, customers)?, run));
                Ok(())
            })?;
        }
        let moved = beside.as_ref().map(|(arrangement, map)| arrangement.moved_under(map));
        let moved = moved.iter().flat_map(|moved| moved.iter());
        let of_moved = moved.flat_map(|&before| [before, map.customer_of(before)]);
        let of_later = later.iter().map(|(place, _)| *place as u32);
        let listed = Places::of(customers + 1, of_later.chain(of_moved));
        let arrangement = beside.map(|(arrangement, _)| arrangement);
        let arranged = arrangement.iter().flat_map(|arrangement| {
            listed.numbers().filter_map(|number| {
                let owner = owner_at(number, customers);
                let run = arrangement.run_of(owner)?;
                // The number of a customer is that of one of its identifiers.
                let now = match owner {
                    Owner::Customer(before) => Owner::Customer(map.customer_of(before)),
                    Owner::Nobody => Owner::Nobody,
                };
                Some((now.place(customers), run))
            })
        });
        let all = arranged.chain(later.iter().copied()).collect::<Vec<_>>();
        let place_of = |number: usize| listed.of_number(number);
        let mut counts = vec![0_u32; listed.len()];
        all.iter().filter_map(|(number, _)| place_of(*number)).for_each(|place| counts[place] += 1);
        let mut table = RunTable::with_counts(&counts);
        let mut listing = table.whole();
        for (number, run) in all {
            if let Some(place) = place_of(number) {
                listing.put(place, run);
            }
        }
        Ok(Self::new(customers, arrangement, listed, table))
    }

    fn new(
        customers: usize,
        arrangement: Option<Arc<Arrangement>>,
        listed: Places,
        table: RunTable,
    ) -> Self {
        let RunTable { starts, runs, .. } = table;
        let partitions = Mutex::default();
        Self { customers: customers as u32, arrangement, listed, starts, runs, partitions }
    }

    /// How many numbers of customers there are, those at rest included.
    pub(crate) fn customers(&self) -> u32 {
        self.customers
    }

    /// The runs of a customer, or of the rows without one.
    pub(crate) fn of(&self, owner: Owner) -> impl Iterator<Item = Run> {
        let (arranged, listed) = match self.listed_of(owner) {
            Some(listed) => (None, listed),
            None => (self.arrangement.as_ref().and_then(|one| one.run_of(owner)), &[][..]),
        };
        arranged.into_iter().chain(listed.iter().copied())
    }

    fn listed_of(&self, owner: Owner) -> Option<&[Run]> {
        let place = self.listed.of_number(owner.place(self.customers as usize))?;
        Some(&self.runs[self.starts[place] as usize..self.starts[place + 1] as usize])
    }

    /// How much memory they take, with the partition of each customer and the customers of each.
    pub(crate) fn bytes(&self) -> usize {
        let spread = size_of::<u16>() * self.customers as usize;
        let listed = size_of_val(self.starts.as_slice()) * 2 + self.listed.bytes();
        spread + listed + size_of_val(self.runs.as_slice())
    }

    /// How the engine spreads customers over so many partitions.
    pub(crate) fn partitions(&self, count: usize, spreads: &Spreads) -> Result<Arc<Partitions>> {
        let mut known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partitions) = known.get(&count) {
            return Ok(partitions.clone());
        }
        let spread = spreads.of(count, self.customers)?;
        let arranged = self.arrangement.clone().filter(|one| one.partitions() == count);
        let has_rows = |&number: &u32| self.of(Owner::Customer(number)).next().is_some();
        let is_new = |&number: &u32| {
            let owner = Owner::Customer(number);
            arranged.as_ref().is_none_or(|arrangement| arrangement.run_of(owner).is_none())
        };
        // Rows of those who are not listed are arranged, if they have any.
        let is_spread_otherwise = arranged.is_none() && self.arrangement.is_some();
        let listed = match is_spread_otherwise {
            true => Box::new(0..self.customers),
            false => self.listed.numbers(),
        };
        let others = listed.filter(|&number| number < self.customers);
        let others = others.filter(is_new).filter(has_rows);
        let partitions = Partitions::new(spread, arranged.clone(), others);
        let partitions = Arc::new(partitions);
        known.insert(count, partitions.clone());
        Ok(partitions)
    }
}

/// Runs by place while they are sorted by counting.
struct RunTable {
    starts: Vec<u32>,
    /// By place: where the next run goes.
    free: Vec<u32>,
    runs: Vec<Run>,
}

impl RunTable {
    fn with_counts(counts: &[u32]) -> Self {
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut all = 0;
        for count in counts {
            starts.push(all);
            all += count;
        }
        let free = starts.clone();
        starts.push(all);
        Self { starts, free, runs: vec![Run { file: 0, start: 0, rows: 0 }; all as usize] }
    }

    /// The places one after the other, so many to a share.
    fn shares(&mut self, places: usize) -> impl Iterator<Item = RunTableShare<'_>> {
        let (starts, mut runs) = (&self.starts, self.runs.as_mut_slice());
        self.free.chunks_mut(places).enumerate().map(move |(number, free)| {
            let first = number * places;
            let (start, end) = (starts[first], starts[first + free.len()]);
            let (own, others) = std::mem::take(&mut runs).split_at_mut((end - start) as usize);
            runs = others;
            RunTableShare { start, free, runs: own }
        })
    }

    fn whole(&mut self) -> RunTableShare<'_> {
        RunTableShare { start: 0, free: &mut self.free, runs: &mut self.runs }
    }
}

/// Some places of a table that stand side by side, with their runs.
struct RunTableShare<'a> {
    /// Where its runs begin in the table.
    start: u32,
    free: &'a mut [u32],
    runs: &'a mut [Run],
}

impl RunTableShare<'_> {
    fn put(&mut self, place: usize, run: Run) {
        let free = &mut self.free[place];
        self.runs[(*free - self.start) as usize] = run;
        *free += 1;
    }
}

/// Does each share on a thread of its own, all at the same time.
fn by_all<S: Send>(
    shares: impl Iterator<Item = S>,
    work: impl Fn(S) -> Result<()> + Sync,
) -> Result<()> {
    let work = &work;
    std::thread::scope(|scope| {
        let shares = shares.map(|share| scope.spawn(move || work(share))).collect::<Vec<_>>();
        shares.into_iter().try_for_each(|share| {
            // A panic there is one here.
            share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn owner_at(number: u32, customers: usize) -> Owner {
    match number as usize == customers {
        true => Owner::Nobody,
        false => Owner::Customer(number),
    }
}

fn known(owner: Owner, customers: usize) -> Result<usize> {
    let place = owner.place(customers);
    if matches!(owner, Owner::Customer(_)) && place >= customers {
        let reason = "an event carries an identifier that the identity map does not know";
        return Err(DataFusionError::Execution(reason.into()));
    }
    Ok(place)
}

/// The runs of the owners at these places, counted from the first of them.
fn for_each_run_in(
    places: Range<usize>,
    files: &[IndexedFile],
    map: &IdentityMap,
    mut found: impl FnMut(usize, Run),
) -> Result<()> {
    for (number, file) in (0..).zip(files) {
        for_each_run(number, file, map, |owner, run| {
            let place = known(owner, map.len())?;
            if places.contains(&place) {
                found(place - places.start, run);
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn for_each_run(
    number: u32,
    file: &IndexedFile,
    map: &IdentityMap,
    mut found: impl FnMut(Owner, Run) -> Result<()>,
) -> Result<()> {
    let run =
        |rows: Range<u32>| Run { file: number, start: rows.start, rows: rows.end - rows.start };
    for group in file.index.groups() {
        let Some(&first) = group.identifiers.first() else {
            found(Owner::Nobody, run(group.rows))?;
            continue;
        };
        match &file.identifiers {
            Some(identifiers) if customers_differ(group.identifiers, map) => {
                let (start, end) = (group.rows.start as usize, group.rows.end as usize);
                let mut from = group.rows.start;
                let same = |a: &u32, b: &u32| map.customer_of(*a) == map.customer_of(*b);
                for rows in identifiers[start..end].chunk_by(same) {
                    let to = from + rows.len() as u32;
                    found(Owner::Customer(map.customer_of(rows[0])), run(from..to))?;
                    from = to;
                }
            }
            _ => found(Owner::Customer(map.customer_of(first)), run(group.rows))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
