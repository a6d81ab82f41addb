//! Which rows a partition of the walk gives, in their order.

use crate::hot::{Codes, HotColumn};
use crate::walk::files::LoadedFiles;
use crate::walk::partitions::{Cursor, Partitions};
use crate::walk::runs::{CustomerRuns, Owner, Run};
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
    /// Room for which of them pass one of several tests.
    passes: Vec<u8>,
    owner: Owner,
}

/// A test of rows by the label of one column: by file, then by code.
#[derive(Clone)]
pub(crate) struct RowTest {
    pub(crate) column: usize,
    pub(crate) passes: Arc<Vec<Vec<bool>>>,
    /// By file: the only code that passes, if it is one and of one byte.
    only: Arc<Vec<Option<u8>>>,
    /// By file: 1 at each code that passes, and a place for every code of one byte.
    marks: Arc<Vec<Vec<u8>>>,
}

impl RowTest {
    pub(crate) fn new(column: usize, passes: Vec<Vec<bool>>) -> Self {
        let only = |passes: &Vec<bool>| {
            let mut codes = (0_u8..=u8::MAX).zip(passes).filter(|(_, passes)| **passes);
            let first = codes.next()?.0;
            (codes.next().is_none() && passes.len() <= 256).then_some(first)
        };
        let marks = |passes: &Vec<bool>| {
            let mut marks = passes.iter().map(|&passes| u8::from(passes)).collect::<Vec<_>>();
            marks.resize(marks.len().max(1 << u8::BITS), 0);
            marks
        };
        let only = Arc::new(passes.iter().map(only).collect());
        let marks = Arc::new(passes.iter().map(marks).collect());
        Self { column, passes: Arc::new(passes), only, marks }
    }
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
    fn push(&mut self, owner: Owner, run: Run) {
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
        for tests in &self.keep {
            std::mem::swap(&mut self.pending, &mut self.tested);
            self.pending.clear();
            match tests.as_slice() {
                [test] => keep(&self.tested, test, files.column(test.column), &mut self.pending),
                tests => {
                    let kept = &mut self.pending;
                    keep_any(&self.tested, tests, files, &mut self.passes, kept);
                }
            }
        }
        if let Some(times) = self.times
            && self.pending.len() > 1
        {
            bring_in_order(&mut self.pending, files.column(times));
        }
        self.pending.reverse();
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

/// Adds the rows that pass a test.
fn keep(runs: &[Run], test: &RowTest, labels: &[Option<Arc<HotColumn>>], kept: &mut Vec<Run>) {
    for &run in runs {
        let passes = &test.passes[run.file as usize];
        let Some(labels) = labels[run.file as usize].as_ref().and_then(|column| column.labels())
        else {
            continue;
        };
        match (labels.codes(), test.only[run.file as usize]) {
            (Codes::Narrow(codes), Some(only)) => keep_only(run, &codes[run.range()], only, kept),
            (Codes::Narrow(codes), _) => keep_rows(run, &codes[run.range()], passes, kept),
            (Codes::Wide(codes), _) => keep_rows(run, &codes[run.range()], passes, kept),
            (Codes::Widest(codes), _) => keep_rows(run, &codes[run.range()], passes, kept),
        }
    }
}

/// The same for rows that pass any of several tests.
fn keep_any(
    runs: &[Run],
    tests: &[RowTest],
    files: &LoadedFiles,
    passes: &mut Vec<u8>,
    kept: &mut Vec<Run>,
) {
    for &run in runs {
        passes.clear();
        passes.resize(run.rows as usize, 0);
        for test in tests {
            let labels = files.column(test.column)[run.file as usize].as_ref();
            if let Some(labels) = labels.and_then(|column| column.labels()) {
                labels.codes().mark(run.range(), &test.marks[run.file as usize], passes);
            }
        }
        keep_only(run, passes, 1, kept);
    }
}

/// The same for one code, which is mostly rare.
fn keep_only(run: Run, codes: &[u8], only: u8, kept: &mut Vec<Run>) {
    for place in memchr::memchr_iter(only, codes) {
        let start = run.start + place as u32;
        match kept.last_mut() {
            Some(last) if last.file == run.file && last.start + last.rows == start => {
                last.rows += 1;
            }
            _ => kept.push(Run { start, rows: 1, ..run }),
        }
    }
}

fn keep_rows<C: Copy + TryInto<usize>>(
    run: Run,
    codes: &[C],
    passes: &[bool],
    kept: &mut Vec<Run>,
) {
    let passes = |code: C| code.try_into().is_ok_and(|code| passes[code]);
    let mut from = 0;
    while from < codes.len() {
        let Some(first) = codes[from..].iter().position(|&code| passes(code)) else {
            return;
        };
        let first = from + first;
        let rows = codes[first..].iter().take_while(|&&code| passes(code)).count();
        kept.push(Run { start: run.start + first as u32, rows: rows as u32, ..run });
        from = first + rows;
    }
}
