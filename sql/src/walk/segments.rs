//! Which rows a partition of the walk gives, in their order.

use crate::hot::HotColumn;
use crate::walk::files::LoadedFiles;
use crate::walk::partitions::{Cursor, Partitions};
use crate::walk::row_test::{RowTest, keep};
use crate::walk::runs::{CustomerRuns, Owner, Run};
use crate::walk::stretch::Stretch;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Goes from customer to customer of one partition.
pub(crate) struct Walker {
    pub(crate) runs: Arc<CustomerRuns>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) partition: usize,
    /// The customers to visit; `None` is everybody and the rows of nobody.
    pub(crate) customers: Option<Arc<RoaringBitmap>>,
    pub(crate) files: Arc<LoadedFiles>,
    /// The column of times among those that are read, when rows must come in order of time.
    pub(crate) times: Option<usize>,
    /// Only rows are given that pass one test of each.
    pub(crate) keep: Vec<Vec<RowTest>>,
    /// Where the next one is among the customers of the partition.
    cursor: Cursor,
    /// Whether the rows of nobody were given, or are another partition's.
    is_at_end: bool,
    /// The number of the next customer, when only some are wanted.
    next: usize,
    /// The rows of the customer at hand that were not given yet; the next ones last.
    pending: Vec<Run>,
    /// Room for rows while they are tested.
    tested: Vec<Run>,
    /// Room for which of them pass.
    passes: Vec<u8>,
    /// Room for whose rows are tested together.
    stretch: Stretch,
    owner: Owner,
}

/// Rows in the order of the walk, and whose they are.
#[derive(Default)]
pub(crate) struct Segments {
    pub(crate) runs: Vec<Run>,
    /// How many of the rows belong to whom.
    pub(crate) owners: Vec<(Owner, u32)>,
    pub(crate) rows: usize,
}

impl Segments {
    pub(crate) fn push(&mut self, owner: Owner, run: Run) {
        match self.runs.last_mut() {
            // Customers stand side by side in an arrangement: their rows are one stretch.
            Some(last) if last.file == run.file && last.start + last.rows == run.start => {
                last.rows += run.rows;
            }
            _ => self.runs.push(run),
        }
        self.rows += run.rows as usize;
        match self.owners.last_mut() {
            Some((last, rows)) if *last == owner => *rows += run.rows,
            _ => self.owners.push((owner, run.rows)),
        }
    }
}

impl Walker {
    pub(crate) fn new(
        runs: Arc<CustomerRuns>,
        partitions: Arc<Partitions>,
        partition: usize,
        customers: Option<Arc<RoaringBitmap>>,
        files: Arc<LoadedFiles>,
    ) -> Self {
        let nobody = Owner::Nobody;
        Self {
            runs,
            partitions,
            partition,
            customers,
            files,
            times: None,
            keep: Vec::new(),
            cursor: Cursor::default(),
            is_at_end: false,
            next: 0,
            pending: Vec::new(),
            tested: Vec::new(),
            passes: Vec::new(),
            stretch: Stretch::default(),
            owner: nobody,
        }
    }

    /// The next rows, about so many; none at the end.
    pub(crate) fn next_segments(&mut self, rows_wanted: usize) -> Segments {
        let mut segments = Segments::default();
        while segments.rows < rows_wanted {
            match self.pending.pop() {
                Some(run) => {
                    let room = rows_wanted - segments.rows;
                    let taken = run.rows.min(u32::try_from(room).unwrap_or(u32::MAX));
                    segments.push(self.owner, Run { rows: taken, ..run });
                    if taken < run.rows {
                        let rest = Run { start: run.start + taken, rows: run.rows - taken, ..run };
                        self.pending.push(rest);
                    }
                }
                None if self.take_stretch(&mut segments) => {}
                None => match self.next_owner() {
                    Some(owner) => self.visit(owner),
                    None => break,
                },
            }
        }
        segments
    }

    fn next_owner(&mut self) -> Option<Owner> {
        match &self.customers {
            None => self.next_of_all(),
            Some(wanted) => {
                let wanted = wanted.clone();
                self.next_wanted(&wanted)
            }
        }
    }

    /// All customers of the partition, then nobody.
    fn next_of_all(&mut self) -> Option<Owner> {
        if let Some(customer) = self.partitions.next(self.partition, &mut self.cursor) {
            return Some(Owner::Customer(customer));
        }
        let is_given = std::mem::replace(&mut self.is_at_end, true);
        let is_here = self.partitions.of(Owner::Nobody) == self.partition;
        (is_here && !is_given).then_some(Owner::Nobody)
    }

    /// Straight to the next wanted one: a segment may be a small part of all customers.
    fn next_wanted(&mut self, wanted: &RoaringBitmap) -> Option<Owner> {
        loop {
            let customer = wanted.range(u32::try_from(self.next).ok()?..).next()?;
            self.next = customer as usize + 1;
            let owner = Owner::Customer(customer);
            if customer >= self.runs.customers() {
                return None;
            }
            if self.partitions.of(owner) == self.partition {
                return Some(owner);
            }
        }
    }

    fn visit(&mut self, owner: Owner) {
        self.owner = owner;
        self.pending.clear();
        let files = &self.files;
        self.pending.extend(self.runs.of(owner).filter(|run| files.is_read(run.file)));
        self.test_pending();
        if let Some(times) = self.times
            && self.pending.len() > 1
        {
            bring_in_order(&mut self.pending, self.files.column(times));
        }
        self.pending.reverse();
    }
}

impl Walker {
    /// Keeps those of the pending rows that pass the tests.
    fn test_pending(&mut self) {
        for tests in &self.keep {
            std::mem::swap(&mut self.pending, &mut self.tested);
            self.pending.clear();
            keep(&self.tested, tests, &self.files, &mut self.passes, &mut self.pending);
        }
    }

    /// Gives rows of the next customers, when those that pass the tests are looked for among all
    /// their rows at once: in an arrangement they stand side by side. False when the next customer
    /// is to be visited alone.
    fn take_stretch(&mut self, segments: &mut Segments) -> bool {
        if self.customers.is_some() || self.keep.is_empty() {
            return false;
        }
        self.stretch.clear();
        let mut cursor = self.cursor;
        loop {
            let mut ahead = cursor;
            match self.partitions.next(self.partition, &mut ahead) {
                Some(customer) if self.stretch.push(customer, &self.runs) => cursor = ahead,
                _ => break,
            }
        }
        let Some(stretch) = self.stretch.rows() else {
            return false;
        };
        self.cursor = cursor;
        if !self.files.is_read(stretch.file) {
            return true; // Nobody of them has a row that is wanted.
        }
        self.pending.clear();
        self.pending.push(stretch);
        self.test_pending();
        self.stretch.give(&mut self.pending, segments);
        true
    }
}

/// Brings the rows of one customer in order of time; at equal times, in the order of files.
fn bring_in_order(runs: &mut Vec<Run>, times: &[Option<Arc<HotColumn>>]) {
    let times_of = |run: &Run| {
        let column = times[run.file as usize].as_ref();
        &column.map_or(&[][..], |column| column.times())[run.range()]
    };
    let follows = |pair: &[Run]| times_of(&pair[0]).last() <= times_of(&pair[1]).first();
    if runs.windows(2).all(follows) {
        return;
    }
    let mut rows = Vec::new();
    for run in runs.iter() {
        let places = run.range().map(|row| (run.file, row as u32));
        rows.extend(times_of(run).iter().zip(places).map(|(&ts, (file, row))| (ts, file, row)));
    }
    rows.sort_unstable();
    runs.clear();
    for (_, file, row) in rows {
        match runs.last_mut() {
            Some(last) if last.file == file && last.start + last.rows == row => last.rows += 1,
            _ => runs.push(Run { file, start: row, rows: 1 }),
        }
    }
}
