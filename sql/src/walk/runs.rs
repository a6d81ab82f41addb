//! Where each customer's rows lie, under one identity map.

use crate::walk::arrangement::Arrangement;
use arrow::array::{AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::Time;
use datafusion::physical_plan::repartition::BatchPartitioner;
use habitue_storage::data_file::FileIndex;
use habitue_storage::event::CUSTOMER_ID;
use habitue_storage::identity::IdentityMap;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

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
#[derive(Debug)]
pub(crate) struct CustomerRuns {
    /// The runs of customer `c` are `starts[c]..starts[c + 1]`; the last ones have no customer.
    starts: Vec<u32>,
    runs: Vec<Run>,
    partitions: Mutex<HashMap<usize, Arc<Partitions>>>,
}

/// Which partition each customer belongs to, as the engine's hash says.
#[derive(Debug)]
pub(crate) struct Partitions {
    of_customer: Vec<u16>,
    /// By partition: its customers who have rows, ascending.
    customers: Vec<Vec<u32>>,
}

impl Partitions {
    fn new(runs: &CustomerRuns, count: usize) -> Result<Self> {
        let of_customer = hashed(runs.customers(), count)?;
        let mut customers = vec![Vec::new(); count.max(1)];
        for (customer, starts) in (0..runs.customers()).zip(runs.starts.windows(2)) {
            if starts[0] < starts[1] {
                customers[usize::from(of_customer[customer as usize])].push(customer);
            }
        }
        Ok(Self { of_customer, customers })
    }

    /// The customers of a partition who have rows, ascending.
    pub(crate) fn customers(&self, partition: usize) -> &[u32] {
        self.customers.get(partition).map_or(&[], Vec::as_slice)
    }

    /// The partition of a customer, or of the rows without one.
    pub(crate) fn of(&self, owner: Owner) -> usize {
        usize::from(self.of_customer[owner.place(self.of_customer.len() - 1)])
    }
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

/// What runs are made from.
pub(crate) enum Part {
    File(IndexedFile),
    Arranged(Arc<Arrangement>),
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
    /// The runs of these parts, in their order.
    pub(crate) fn new(parts: &[Part], map: &IdentityMap) -> Result<Self> {
        let customers = map.len();
        let mut starts = vec![0_u32; customers + 2];
        for (number, part) in parts.iter().enumerate() {
            for_each_run(number, part, map, |owner, _| {
                starts[known(owner, customers)? + 1] += 1;
                Ok(())
            })?;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let nothing = Run { file: 0, start: 0, rows: 0 };
        let mut runs = vec![nothing; starts[customers + 1] as usize];
        let mut free = starts.clone();
        for (number, part) in parts.iter().enumerate() {
            for_each_run(number, part, map, |owner, run| {
                let place = &mut free[known(owner, customers)?];
                runs[*place as usize] = run;
                *place += 1;
                Ok(())
            })?;
        }
        Ok(Self { starts, runs, partitions: Mutex::default() })
    }

    /// How many numbers of customers there are, those at rest included.
    pub(crate) fn customers(&self) -> u32 {
        (self.starts.len() - 2) as u32
    }

    /// The runs of a customer, or of the rows without one.
    pub(crate) fn of(&self, owner: Owner) -> &[Run] {
        let place = owner.place(self.starts.len() - 2);
        match (self.starts.get(place), self.starts.get(place + 1)) {
            (Some(&start), Some(&end)) => &self.runs[start as usize..end as usize],
            _ => &[],
        }
    }

    /// How much memory they take, with the partition of each customer and the customers of each.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.starts.as_slice()) * 5 / 2 + size_of_val(self.runs.as_slice())
    }

    /// How the engine spreads customers over so many partitions.
    pub(crate) fn partitions(&self, count: usize) -> Result<Arc<Partitions>> {
        let mut known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partitions) = known.get(&count) {
            return Ok(partitions.clone());
        }
        let partitions = Arc::new(Partitions::new(self, count)?);
        known.insert(count, partitions.clone());
        Ok(partitions)
    }
}

fn known(owner: Owner, customers: usize) -> Result<usize> {
    let place = owner.place(customers);
    if place > customers {
        let reason = "an event carries an identifier that the identity map does not know";
        return Err(DataFusionError::Execution(reason.into()));
    }
    Ok(place)
}

fn for_each_run(
    number: usize,
    part: &Part,
    map: &IdentityMap,
    mut found: impl FnMut(Owner, Run) -> Result<()>,
) -> Result<()> {
    let number = number as u32;
    let file = match part {
        Part::File(file) => file,
        Part::Arranged(arrangement) => return arrangement.for_each_run(number, map, found),
    };
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

/// The partition of each number, and at the end that of NULL, by the engine's own partitioner: so
/// that the walk may say that it is hash-partitioned, and be joined with what the engine spreads.
fn hashed(customers: u32, count: usize) -> Result<Vec<u16>> {
    let mut partitions = vec![0_u16; customers as usize + 1];
    if count <= 1 {
        return Ok(partitions);
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Int64, true),
        Field::new("place", DataType::UInt32, false),
    ]));
    let key: Arc<dyn PhysicalExpr> = Arc::new(Column::new(CUSTOMER_ID, 0));
    let mut partitioner = BatchPartitioner::new_hash_partitioner(vec![key], count, Time::new())?;
    let numbers: Int64Array =
        (0..customers).map(|customer| Some(i64::from(customer))).chain([None]).collect();
    let places: UInt32Array = (0..=customers).collect::<Vec<_>>().into();
    let batch = RecordBatch::try_new(schema, vec![Arc::new(numbers), Arc::new(places)])?;
    partitioner.partition(batch, |partition, part| {
        for &place in part.column(1).as_primitive::<UInt32Type>().values() {
            partitions[place as usize] = partition as u16;
        }
        Ok(())
    })?;
    Ok(partitions)
}

/// What walks found out about the snapshots that were asked for last, shared by all sessions.
#[derive(Debug, Default)]
pub(crate) struct RunsCache {
    runs: Mutex<Vec<Kept<RunsKey, CustomerRuns>>>,
    arrangements: Mutex<Vec<Kept<Arc<str>, Arrangement>>>,
    days: Mutex<Vec<Kept<Arc<str>, Arrangement>>>,
    /// The names of days that would be nearly all rows: nobody looks for them twice.
    vain_days: Mutex<HashSet<Arc<str>>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    key: K,
    value: Arc<V>,
    /// The memory that the pool knows it takes.
    _memory: MemoryReservation,
}

/// What runs depend on: the files, who is who, and the arrangement that stands for some of the
/// files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunsKey {
    pub(crate) identity_version: u64,
    pub(crate) paths: Vec<String>,
    pub(crate) arrangement: Option<Arc<str>>,
}

/// A query of an older version must not throw out the newest one at once.
const ARRANGEMENTS_KEPT: usize = 2;
/// The days of one arrangement are several, by the labels that are asked about.
const DAYS_KEPT: usize = 8;
/// So many names of days that are not worth it.
const VAIN_DAYS_KEPT: usize = 64;
/// Each of them has runs of its own.
const RUNS_KEPT: usize = ARRANGEMENTS_KEPT + DAYS_KEPT;

impl RunsCache {
    pub(crate) fn find(&self, key: &RunsKey) -> Option<Arc<CustomerRuns>> {
        find(&self.runs, |known, _| known == key)
    }

    pub(crate) fn keep(&self, key: RunsKey, runs: Arc<CustomerRuns>, memory: MemoryReservation) {
        keep(&self.runs, key, runs, memory, RUNS_KEPT);
    }

    /// An arrangement that the test likes; the one that was used last, if there are several.
    pub(crate) fn arrangement(
        &self,
        is_good: impl Fn(&Arrangement) -> bool,
    ) -> Option<Arc<Arrangement>> {
        find(&self.arrangements, |_, arrangement| is_good(arrangement))
    }

    pub(crate) fn keep_arrangement(
        &self,
        arrangement: Arc<Arrangement>,
        memory: MemoryReservation,
    ) {
        let name = arrangement.name().clone();
        keep(&self.arrangements, name, arrangement, memory, ARRANGEMENTS_KEPT);
    }

    /// The days of this name.
    pub(crate) fn days(&self, name: &str) -> Option<Arc<Arrangement>> {
        find(&self.days, |known, _| known.as_ref() == name)
    }

    /// Whether days of this name were looked for in vain.
    pub(crate) fn are_days_vain(&self, name: &str) -> bool {
        self.vain_days.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(crate) fn keep_vain_days(&self, name: Arc<str>) {
        let mut vain = self.vain_days.lock().unwrap_or_else(PoisonError::into_inner);
        if vain.len() == VAIN_DAYS_KEPT {
            vain.clear();
        }
        vain.insert(name);
    }

    pub(crate) fn keep_days(&self, days: Arc<Arrangement>, memory: MemoryReservation) {
        keep(&self.days, days.name().clone(), days, memory, DAYS_KEPT);
    }
}

type Shelf<K, V> = Mutex<Vec<Kept<K, V>>>;

fn find<K, V>(shelf: &Shelf<K, V>, is_it: impl Fn(&K, &V) -> bool) -> Option<Arc<V>> {
    let mut kept = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    let place = kept.iter().rposition(|known| is_it(&known.key, &known.value))?;
    let found = kept.remove(place);
    let value = found.value.clone();
    kept.push(found);
    Some(value)
}

fn keep<K: PartialEq, V>(
    shelf: &Shelf<K, V>,
    key: K,
    value: Arc<V>,
    memory: MemoryReservation,
    kept_max: usize,
) {
    let mut kept = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|known| known.key != key);
    if kept.len() == kept_max {
        kept.remove(0);
    }
    kept.push(Kept { key, value, _memory: memory });
}

#[cfg(test)]
mod tests {
    use super::*;
    use habitue_storage::data_file::FileIndexBuilder;

    fn file(rows: &[(Option<u32>, Option<u32>)]) -> Part {
        let mut builder = FileIndexBuilder::default();
        for &(key, identifier) in rows {
            builder.push(key, identifier).unwrap();
        }
        let identifiers = rows.iter().filter_map(|&(_, identifier)| identifier).collect();
        let index = Arc::new(builder.finish());
        Part::File(IndexedFile { index, identifiers: Some(identifiers) })
    }

    fn run(file: u32, start: u32, rows: u32) -> Run {
        Run { file, start, rows }
    }

    #[test]
    fn merged_customers_have_one_more_run_and_split_groups_are_taken_apart() {
        let first =
            file(&[(Some(0), Some(0)), (Some(0), Some(2)), (Some(0), Some(0)), (None, None)]);
        let second = file(&[(Some(1), Some(1)), (Some(3), Some(3))]);
        let map = IdentityMap::new(vec![0, 1, 2, 1]).unwrap();
        let runs = CustomerRuns::new(&[first, second], &map).unwrap();
        assert_eq!(runs.of(Owner::Customer(0)), [run(0, 0, 1), run(0, 2, 1)]);
        assert_eq!(runs.of(Owner::Customer(1)), [run(1, 0, 1), run(1, 1, 1)]);
        assert_eq!(runs.of(Owner::Customer(2)), [run(0, 1, 1)]);
        assert_eq!(runs.of(Owner::Customer(3)), []);
        assert_eq!(runs.of(Owner::Nobody), [run(0, 3, 1)]);
        let partitions = runs.partitions(2).unwrap();
        let mut with_rows = [partitions.customers(0), partitions.customers(1)].concat();
        with_rows.sort_unstable();
        assert_eq!(with_rows, [0, 1, 2]);
        for partition in 0..2 {
            let mut customers = partitions.customers(partition).iter();
            assert!(customers.all(|&one| partitions.of(Owner::Customer(one)) == partition));
        }
    }

    #[test]
    fn every_customer_and_null_have_a_partition() {
        let partitions = hashed(1000, 3).unwrap();
        assert_eq!(partitions.len(), 1001);
        assert!((0..3).all(|wanted| partitions.contains(&wanted)));
    }

    #[test]
    fn an_identifier_beyond_the_map_is_an_error() {
        let map = IdentityMap::new(vec![0]).unwrap();
        assert!(CustomerRuns::new(&[file(&[(Some(5), Some(5))])], &map).is_err());
    }
}
