//! Which columns are kept, and how much memory they take.

use crate::error::Result;
use crate::hot::column::{ColumnKind, HotColumn};
use crate::hot::decode::decode;
use crate::walk::RunsCache;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A column of a data file: the path of the file and the name of the column.
pub(crate) type ColumnKey = (Arc<str>, Arc<str>);

/// The decoded columns of a process.
pub(crate) struct HotColumns {
    bytes_max: usize,
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
}

impl HotColumns {
    /// Keeps at most so many bytes, all of them reserved in `pool`.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        let reservation = MemoryConsumer::new("hot columns").register(pool);
        let state = State { kept: HashMap::new(), bytes: 0, promised: 0, uses: 0, reservation };
        Self { bytes_max, runs: RunsCache::default(), state: Mutex::new(state) }
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
    pub(crate) fn fits(&self, files: &[&DataFile], schema: &Schema) -> Fit {
        let state = self.state();
        let Needs { held, bytes_missing } = state.needs(files, schema);
        if bytes_missing == 0 {
            return Fit::AllKept;
        }
        let held = held.iter().map(|column| column.bytes()).sum::<usize>();
        let free = state.free_bytes().saturating_sub(held);
        let in_budget = state.bytes + state.promised + bytes_missing <= self.bytes_max + free;
        let probe = state.reservation.new_empty();
        let in_memory = probe.try_grow(bytes_missing.saturating_sub(free)).is_ok();
        match in_budget && in_memory {
            true => Fit::Decoded,
            false => Fit::No,
        }
    }

    /// Promises memory for the columns that are not kept yet, and holds those that are.
    ///
    /// # Errors
    /// When the memory limit leaves no room for them.
    pub(crate) fn room(self: &Arc<Self>, files: &[&DataFile], schema: &Schema) -> Result<Room> {
        let mut state = self.state();
        let Needs { held, bytes_missing } = state.needs(files, schema);
        let keeping = state.make_place(bytes_missing, self.bytes_max);
        let promise = state.reservation.new_empty();
        promise.try_grow(bytes_missing)?;
        if keeping == Keeping::Kept {
            state.promised += bytes_missing;
        }
        Ok(Room { hot: self.clone(), keeping, left: Mutex::new(promise), _held: held })
    }

    /// The columns of this schema, decoded when they are not kept; in its order.
    pub(crate) async fn load(
        &self,
        store: &Store,
        file: &DataFile,
        schema: &Schema,
        room: &Room,
    ) -> Result<Vec<Arc<HotColumn>>> {
        let path: Arc<str> = file.object.path.as_str().into();
        let names = schema.fields().iter().map(|field| Arc::<str>::from(field.name().as_str()));
        let keys = names.map(|name| (path.clone(), name)).collect::<Vec<_>>();
        let mut found = {
            let mut state = self.state();
            keys.iter().map(|key| state.find(key)).collect::<Vec<_>>()
        };
        let missing = (0..keys.len()).filter(|&place| found[place].is_none()).collect::<Vec<_>>();
        if !missing.is_empty() {
            let wanted: SchemaRef =
                Arc::new(schema.project(&missing).map_err(DataFusionError::from)?);
            let decoded = decode(store, file, wanted).await?;
            for (&place, column) in missing.iter().zip(decoded) {
                let column = Arc::new(column);
                room.fill(keys[place].clone(), file.rows, column.clone());
                found[place] = Some(column);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn needs(&self, files: &[&DataFile], schema: &Schema) -> Needs {
        let mut needs = Needs { held: Vec::new(), bytes_missing: 0 };
        for file in files {
            let path: Arc<str> = file.object.path.as_str().into();
            let rows = usize::try_from(file.rows).unwrap_or(usize::MAX);
            for field in schema.fields() {
                let kind = ColumnKind::of(field.name(), field.data_type());
                match self.kept.get(&(path.clone(), field.name().as_str().into())) {
                    Some(kept) => needs.held.push(kept.column.clone()),
                    None => {
                        let bytes = kind.map_or(0, ColumnKind::bytes_per_row);
                        needs.bytes_missing += rows.saturating_mul(bytes);
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
    fn fill(&self, key: ColumnKey, rows: u64, column: Arc<HotColumn>) {
        if self.keeping == Keeping::OwnOnly {
            return;
        }
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let used = column.bytes().min(left.size());
        left.shrink(used);
        let mut state = self.hot.state();
        state.promised -= used;
        state.keep(key, rows, column);
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
