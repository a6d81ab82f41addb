//! Which partition each customer belongs to.

use crate::walk::arrangement::Arrangement;
use crate::walk::runs::Owner;
use arrow::array::{AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::Time;
use datafusion::physical_plan::repartition::BatchPartitioner;
use habitue_storage::event::CUSTOMER_ID;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// For so many numbers of partitions at once it is kept where customers belong.
const COUNTS_KEPT: usize = 8;

/// The customers of each partition of a walk.
#[derive(Debug)]
pub(crate) struct Partitions {
    spread: Arc<Spread>,
    /// Whose customers with rows come first.
    arranged: Option<Arc<Arrangement>>,
    /// By partition: further customers with rows, ascending.
    others: Vec<Vec<u32>>,
}

/// Where one is on the way through the customers of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    arranged: usize,
    others: usize,
}

impl Partitions {
    /// Spreads customers with rows, ascending, besides those of an arrangement.
    pub(crate) fn new(
        spread: Arc<Spread>,
        arranged: Option<Arc<Arrangement>>,
        customers: impl Iterator<Item = u32>,
    ) -> Self {
        let mut others = vec![Vec::new(); spread.count];
        for customer in customers {
            others[spread.of(Owner::Customer(customer))].push(customer);
        }
        Self { spread, arranged, others }
    }

    /// The next customer of a partition who may have rows, ascending.
    pub(crate) fn next(&self, partition: usize, cursor: &mut Cursor) -> Option<u32> {
        let arranged = self.arranged.as_ref().map_or(&[][..], |one| one.customers_of(partition));
        let arranged = arranged.get(cursor.arranged).copied();
        let other =
            self.others.get(partition).and_then(|others| others.get(cursor.others)).copied();
        match (arranged, other) {
            (Some(arranged), other) if other.is_none_or(|other| arranged < other) => {
                cursor.arranged += 1;
                Some(arranged)
            }
            _ => {
                cursor.others += 1;
                other
            }
        }
    }

    /// The partition of a customer, or of the rows without one.
    pub(crate) fn of(&self, owner: Owner) -> usize {
        self.spread.of(owner)
    }

    /// By partition: the customers besides those of an arrangement, ascending.
    pub(crate) fn others(&self) -> &[Vec<u32>] {
        &self.others
    }
}

/// The partition of each number as the engine's hash says, which it has for ever.
#[derive(Debug)]
pub(crate) struct Spread {
    count: usize,
    of_customer: Vec<u16>,
    of_nobody: u16,
}

impl Spread {
    fn of(&self, owner: Owner) -> usize {
        usize::from(match owner {
            Owner::Customer(customer) => {
                self.of_customer.get(customer as usize).copied().unwrap_or(self.of_nobody)
            }
            Owner::Nobody => self.of_nobody,
        })
    }
}

/// The spreads that were asked for, by the number of partitions.
#[derive(Debug, Default)]
pub(crate) struct Spreads {
    by_count: Mutex<HashMap<usize, Arc<Spread>>>,
}

impl Spreads {
    /// Where so many customers belong; only those who came since it was asked before are computed.
    pub(crate) fn of(&self, count: usize, customers: u32) -> Result<Arc<Spread>> {
        let count = count.max(1);
        let mut by_count = self.by_count.lock().unwrap_or_else(PoisonError::into_inner);
        let known = by_count.get(&count);
        let known_customers = known.map_or(0, |known| known.of_customer.len() as u32);
        if let Some(known) = known
            && known_customers >= customers
        {
            return Ok(known.clone());
        }
        let (new, of_nobody) = hashed_by_all(known_customers..customers, count)?;
        let mut of_customer = Vec::with_capacity(customers as usize);
        of_customer.extend(known.iter().flat_map(|known| &known.of_customer));
        of_customer.extend(new);
        let spread = Arc::new(Spread { count, of_customer, of_nobody });
        if by_count.len() >= COUNTS_KEPT && !by_count.contains_key(&count) {
            by_count.clear();
        }
        by_count.insert(count, spread.clone());
        Ok(spread)
    }
}

/// The same as [`hashed`], on as many threads as there are partitions.
fn hashed_by_all(customers: Range<u32>, count: usize) -> Result<(Vec<u16>, u16)> {
    let part = customers.len().div_ceil(count).max(1);
    let starts = customers.clone().step_by(part);
    let parts = std::thread::scope(|scope| {
        let hash = |start: u32| {
            let part = start..customers.end.min(start.saturating_add(part as u32));
            scope.spawn(move || hashed(part, count))
        };
        let parts = starts.map(hash).collect::<Vec<_>>();
        parts.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let (mut all, of_nobody) = hashed(0..0, count)?;
    for part in parts {
        // A panic there is one here.
        all.extend(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?.0);
    }
    Ok((all, of_nobody))
}

/// The partitions of numbers and that of NULL, by the engine's own partitioner: so that the walk may
/// say that it is hash-partitioned, and be joined with what the engine spreads.
fn hashed(customers: Range<u32>, count: usize) -> Result<(Vec<u16>, u16)> {
    let mut partitions = vec![0_u16; customers.len() + 1];
    if count > 1 {
        let schema = Arc::new(Schema::new(vec![
            Field::new(CUSTOMER_ID, DataType::Int64, true),
            Field::new("place", DataType::UInt32, false),
        ]));
        let key: Arc<dyn PhysicalExpr> = Arc::new(Column::new(CUSTOMER_ID, 0));
        let mut partitioner =
            BatchPartitioner::new_hash_partitioner(vec![key], count, Time::new())?;
        let places: UInt32Array = (0..=customers.len() as u32).collect::<Vec<_>>().into();
        let numbers: Int64Array =
            customers.map(|customer| Some(i64::from(customer))).chain([None]).collect();
        let batch = RecordBatch::try_new(schema, vec![Arc::new(numbers), Arc::new(places)])?;
        partitioner.partition(batch, |partition, part| {
            for &place in part.column(1).as_primitive::<UInt32Type>().values() {
                partitions[place as usize] = partition as u16;
            }
            Ok(())
        })?;
    }
    let of_nobody = partitions.pop().unwrap_or_default();
    Ok((partitions, of_nobody))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_who_come_later_belong_where_they_would_have_before() {
        let spreads = Spreads::default();
        let few = spreads.of(3, 10).unwrap();
        let grown = spreads.of(3, 1000).unwrap();
        let at_once = Spreads::default().of(3, 1000).unwrap();
        let of = |spread: &Spread, customers: u32| {
            (0..customers).map(|one| spread.of(Owner::Customer(one))).collect::<Vec<_>>()
        };
        assert_eq!(of(&grown, 1000), of(&at_once, 1000));
        assert_eq!(of(&grown, 10), of(&few, 10));
        assert_eq!(grown.of(Owner::Nobody), at_once.of(Owner::Nobody));
        assert!((0..3).all(|wanted| of(&grown, 1000).contains(&wanted)));
        // Who was asked about already is not looked up again.
        assert!(Arc::ptr_eq(&spreads.of(3, 500).unwrap(), &grown));
    }

    #[test]
    fn the_engine_would_spread_them_alike() {
        let (all, nobody) = hashed(0..1000, 5).unwrap();
        let (late, of_nobody) = hashed(400..1000, 5).unwrap();
        assert_eq!((&all[400..], nobody), (late.as_slice(), of_nobody));
        assert_eq!(hashed_by_all(400..1000, 5).unwrap(), (late, of_nobody));
    }
}
