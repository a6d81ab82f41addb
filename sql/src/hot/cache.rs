//! Which columns are kept, and how much memory they take.

use crate::error::Result;
use crate::hot::column::{ColumnKind, HotColumn};
use crate::walk::RunsCache;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use habitue_storage::log::action::DataFile;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A column of a data file: the path of the file and the name of the column.
pub(crate) type ColumnKey = (Arc<str>, Arc<str>);

/// So many wishes are remembered.
const WISHES_MAX: usize = 1024;

/// The name under which the order of the rows of an arrangement is kept.
pub(crate) const ORDER: &str = "order of rows";

/// The decoded columns of a process.
pub(crate) struct HotColumns {
    bytes_max: usize,
    /// What was wanted before and not kept; as hashes.
    wanted_before: Mutex<HashSet<u64>>,
    runs: RunsCache,
    state: Mutex<State>,
}

struct State {
    kept: HashMap<ColumnKey, Kept>,
    /// How many bytes the kept columns take; the pool knows of them through `reservation`.
    bytes: usize,
    /// How many bytes were promised to queries that have not decoded yet.
    promised: usize,
    uses: u64,
    reservation: MemoryReservation,
}

struct Kept {
    column: Arc<HotColumn>,
    rows: u64,
    last_use: u64,
    use_count: u64,
}

/// Something whose columns are wanted: a data file, or an arrangement of many.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// What its columns are kept under.
    pub(crate) path: Arc<str>,
    pub(crate) rows: u64,
    /// Whether columns are made from those of files, which takes as much memory again for a while,
    /// and the order of rows for longer.
    pub(crate) is_made: bool,
}

impl Wanted {
    pub(crate) fn file(file: &DataFile) -> Self {
        Self { path: file.object.path.as_str().into(), rows: file.rows, is_made: false }
    }
}

/// Columns of one schema, of which some may have to be made.
pub(crate) struct Found {
    columns: Vec<Option<Arc<HotColumn>>>,
    missing: Vec<usize>,
}

impl Found {
    /// The columns to make; `None` when all are there.
    pub(crate) fn missing(&self, schema: &Schema) -> Result<Option<SchemaRef>> {
        if self.missing.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(schema.project(&self.missing).map_err(DataFusionError::from)?)))
    }

    /// Adds those that were made, and keeps them if there is room.
    pub(crate) fn fill(
        &mut self,
        made: Vec<HotColumn>,
        wanted: &Wanted,
        schema: &Schema,
        room: &Room,
    ) {
        for (&place, column) in self.missing.iter().zip(made) {
            let column = Arc::new(column);
            room.fill(wanted, schema.field(place).name(), column.clone());
            self.columns[place] = Some(column);
        }
    }

    /// The columns in the order of the schema.
    pub(crate) fn columns(self) -> Vec<Arc<HotColumn>> {
        self.columns.into_iter().flatten().collect()
    }
}

/// Whether columns can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// They are kept already.
    AllKept,
    /// There is room for those that must be decoded.
    Decoded,
    /// There is not enough memory for them.
    No,
}

/// One line of `system.cache`.
pub(crate) struct KeptColumn {
    pub(crate) path: Arc<str>,
    pub(crate) column: Arc<str>,
    pub(crate) rows: u64,
    pub(crate) bytes: usize,
    pub(crate) uses: u64,
}

/// Memory that was promised for columns to be decoded; what is left is given back when it is
/// dropped.
pub(crate) struct Room {
    hot: Arc<HotColumns>,
    keeping: Keeping,
    left: Mutex<MemoryReservation>,
    /// Columns that the query will use: they cannot be forgotten before.
    _held: Vec<Arc<HotColumn>>,
}

/// What becomes of decoded columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// They are kept for later queries.
    Kept,
    /// Other queries use the whole budget: they are this query's own, and gone with it.
    OwnOnly,
}

/// What a query wants of the kept columns.
struct Needs {
    held: Vec<Arc<HotColumn>>,
    bytes_missing: usize,
    /// What making columns takes besides, until they are made.
    bytes_passing: usize,
}

impl HotColumns {
    /// Keeps at most so many bytes, all of them reserved in `pool`.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        let reservation = MemoryConsumer::new("hot columns").register(pool);
        let state = State { kept: HashMap::new(), bytes: 0, promised: 0, uses: 0, reservation };
        let wanted_before = Mutex::default();
        Self { bytes_max, wanted_before, runs: RunsCache::default(), state: Mutex::new(state) }
    }

    /// Whether these columns were asked about before: what is wanted again is worth keeping, even
    /// if only a small part of it is read.
    pub(crate) fn is_wanted_again(&self, path: &str, schema: &Schema) -> bool {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        schema.fields().iter().for_each(|field| field.name().hash(&mut hasher));
        let mut before = self.wanted_before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.len() == WISHES_MAX {
            before.clear();
        }
        !before.insert(hasher.finish())
    }

    /// Where the rows of customers lie.
    pub(crate) fn runs(&self) -> &RunsCache {
        &self.runs
    }

    /// So many bytes of the memory limit for something that is kept beside columns; `None` when
    /// there is not so much.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<MemoryReservation> {
        let reservation = self.state().reservation.new_empty();
        reservation.try_grow(bytes).ok()?;
        Some(reservation)
    }

    /// What is kept, by path and column.
    pub(crate) fn kept(&self) -> Vec<KeptColumn> {
        let state = self.state();
        let kept = state.kept.iter().map(|((path, column), kept)| KeptColumn {
            path: path.clone(),
            column: column.clone(),
            rows: kept.rows,
            bytes: kept.column.bytes(),
            uses: kept.use_count,
        });
        let mut kept = kept.collect::<Vec<_>>();
        kept.sort_by(|a, b| (&a.path, &a.column).cmp(&(&b.path, &b.column)));
        kept
    }

    /// At most how many bytes are kept.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether there is room for these columns, if others make place. Nothing is forgotten and
    /// nothing is promised, so a query that is only explained changes nothing.
    pub(crate) fn fits(&self, wanted: &[Wanted], schema: &Schema) -> Fit {
        let state = self.state();
        let Needs { held, bytes_missing, bytes_passing } = state.needs(wanted, schema);
        if bytes_missing == 0 {
            return Fit::AllKept;
        }
        let held = held.iter().map(|column| column.bytes()).sum::<usize>();
        let free = state.free_bytes().saturating_sub(held);
        let in_budget = state.bytes + state.promised + bytes_missing <= self.bytes_max + free;
        let probe = state.reservation.new_empty();
        let in_memory = bytes_missing + bytes_passing;
        let in_memory = probe.try_grow(in_memory.saturating_sub(free)).is_ok();
        match in_budget && in_memory {
            true => Fit::Decoded,
            false => Fit::No,
        }
    }

    /// Promises memory for the columns that are not kept yet, and holds those that are.
    ///
    /// # Errors
    /// When the memory limit leaves no room for them.
    pub(crate) fn room(self: &Arc<Self>, wanted: &[Wanted], schema: &Schema) -> Result<Room> {
        let mut state = self.state();
        let Needs { held, bytes_missing, .. } = state.needs(wanted, schema);
        let keeping = state.make_place(bytes_missing, self.bytes_max);
        let promise = state.reservation.new_empty();
        promise.try_grow(bytes_missing)?;
        if keeping == Keeping::Kept {
            state.promised += bytes_missing;
        }
        Ok(Room { hot: self.clone(), keeping, left: Mutex::new(promise), _held: held })
    }

    /// What is kept of these columns.
    pub(crate) fn found(&self, path: &str, schema: &Schema) -> Found {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns = names.map(|name| self.find(path, name)).collect::<Vec<_>>();
        let missing = (0..columns.len()).filter(|&place| columns[place].is_none());
        Found { missing: missing.collect(), columns }
    }

    /// A column, if it is kept.
    pub(crate) fn find(&self, path: &str, column: &str) -> Option<Arc<HotColumn>> {
        self.state().find(&(path.into(), column.into()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn needs(&self, wanted: &[Wanted], schema: &Schema) -> Needs {
        let mut needs = Needs { held: Vec::new(), bytes_missing: 0, bytes_passing: 0 };
        let kept = |path: &Arc<str>, name: &str| self.kept.get(&(path.clone(), name.into()));
        for Wanted { path, rows, is_made } in wanted {
            let rows = usize::try_from(*rows).unwrap_or(usize::MAX);
            let mut missing = 0_usize;
            for field in schema.fields() {
                let kind = ColumnKind::of(field.name(), field.data_type());
                match kept(path, field.name()) {
                    Some(kept) => needs.held.push(kept.column.clone()),
                    None => {
                        let bytes = kind.map_or(0, ColumnKind::bytes_per_row);
                        missing += rows.saturating_mul(bytes);
                    }
                }
            }
            needs.bytes_missing += missing;
            if *is_made && missing > 0 {
                needs.bytes_passing += missing;
                match kept(path, ORDER) {
                    Some(kept) => needs.held.push(kept.column.clone()),
                    None => {
                        needs.bytes_missing += rows.saturating_mul(size_of::<u32>());
                        needs.bytes_passing += rows.saturating_mul(size_of::<i64>());
                    }
                }
            }
        }
        needs
    }

    fn find(&mut self, key: &ColumnKey) -> Option<Arc<HotColumn>> {
        self.uses += 1;
        let kept = self.kept.get_mut(key)?;
        kept.last_use = self.uses;
        kept.use_count += 1;
        Some(kept.column.clone())
    }

    /// How much could be forgotten now.
    fn free_bytes(&self) -> usize {
        let free = self.kept.values().filter(|kept| kept.is_free());
        free.map(|kept| kept.column.bytes()).sum()
    }

    /// Forgets what was not used for the longest time until so many bytes more are within the
    /// budget. Where they cannot be, because queries still use what is kept, nothing is forgotten.
    fn make_place(&mut self, bytes: usize, bytes_max: usize) -> Keeping {
        if self.bytes + self.promised + bytes > bytes_max + self.free_bytes() {
            return Keeping::OwnOnly;
        }
        while self.bytes + self.promised + bytes > bytes_max {
            let free = self.kept.iter().filter(|(_, kept)| kept.is_free());
            let Some((oldest, _)) = free.min_by_key(|(_, kept)| kept.last_use) else {
                return Keeping::OwnOnly;
            };
            let oldest = oldest.clone();
            self.forget(&oldest);
        }
        Keeping::Kept
    }

    fn forget(&mut self, key: &ColumnKey) {
        if let Some(kept) = self.kept.remove(key) {
            let bytes = kept.column.bytes();
            self.bytes -= bytes;
            self.reservation.shrink(bytes);
        }
    }

    fn keep(&mut self, key: ColumnKey, rows: u64, column: Arc<HotColumn>) {
        self.forget(&key);
        let bytes = column.bytes();
        self.bytes += bytes;
        self.reservation.grow(bytes);
        self.uses += 1;
        self.kept.insert(key, Kept { column, rows, last_use: self.uses, use_count: 1 });
    }
}

impl Kept {
    /// Whether no query uses it.
    fn is_free(&self) -> bool {
        Arc::strong_count(&self.column) == 1
    }
}

impl Room {
    /// Keeps what was made, if there is a place for it.
    pub(crate) fn fill(&self, wanted: &Wanted, name: &str, column: Arc<HotColumn>) {
        if self.keeping == Keeping::OwnOnly {
            return;
        }
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let used = column.bytes().min(left.size());
        left.shrink(used);
        let mut state = self.hot.state();
        state.promised -= used;
        state.keep((wanted.path.clone(), name.into()), wanted.rows, column);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let left = self.left.get_mut().unwrap_or_else(PoisonError::into_inner);
        let bytes = left.free();
        if self.keeping == Keeping::Kept {
            self.hot.state().promised -= bytes;
        }
    }
}

impl fmt::Debug for HotColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotColumns({} of {} bytes)", self.state().bytes, self.bytes_max)
    }
}
