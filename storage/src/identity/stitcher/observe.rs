//! From the values of events to numbers and links.

use super::Stitcher;
use crate::error::{Error, Result};
use crate::identity::link_table::{hash_of, pair_of};
use arrow::array::{Array, StringArray, TimestampMicrosecondArray, UInt32Array};

/// The row has no value of this namespace.
const ABSENT: u32 = u32::MAX;
/// The value has no number yet.
const UNKNOWN: u32 = u32::MAX - 1;

const PAIRS: usize = 4096;

/// Pairs that came lately with their times: most events repeat a link that is known.
#[derive(Debug)]
pub(super) struct PairCache(Vec<(u64, i64)>);

impl Default for PairCache {
    fn default() -> Self {
        // No identifier is linked with itself, so this pair never comes.
        Self(vec![(0, i64::MAX); PAIRS])
    }
}

impl PairCache {
    /// Whether the pair is known to be linked at this time; if not, it will be.
    fn knows(&mut self, pair: u64, ts_us: i64) -> bool {
        let slot = &mut self.0[(hash_of(pair) >> 52) as usize];
        if slot.0 == pair && slot.1 <= ts_us {
            return true;
        }
        *slot = (pair, ts_us);
        false
    }
}

/// The values of one namespace in a batch.
struct Column<'a> {
    namespace: u16,
    values: &'a StringArray,
    /// Their numbers, or [`ABSENT`], or [`UNKNOWN`].
    numbers: Vec<u32>,
}

/// What stands in one row of one column.
enum Seen {
    /// An identifier that may connect.
    Connects(u32),
    /// A value that never connects, with its number if it has one.
    Blocked(Option<u32>),
}

impl Stitcher {
    /// Numbers the identifiers of a batch and collects the links between them. `columns` are the
    /// text columns as they came, with the numbers of their namespaces. Answers the own identifier
    /// of each row, the strongest that may connect; NULL for rows without identifiers.
    ///
    /// New numbers are given row by row, so they do not depend on how rows come in batches.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the columns have different lengths or name an unknown namespace;
    /// [`Error::Exhausted`] when there are no numbers left.
    pub fn observe(
        &mut self,
        columns: &[(u16, &StringArray)],
        ts: &TimestampMicrosecondArray,
        event_id: &StringArray,
    ) -> Result<UInt32Array> {
        let mut columns = self.strongest_first(columns, ts.len())?;
        if event_id.len() != ts.len() || ts.null_count() > 0 {
            let reason = "event_id and ts must be as long as each other, ts without gaps";
            return Err(Error::invalid("batch", reason));
        }
        for column in &mut columns {
            column.numbers = self.look_up(column.namespace, column.values);
        }
        let rows = (0..ts.len()).zip(ts.values());
        let own = rows.map(|(row, ts)| self.observe_row(&columns, row, *ts, event_id));
        own.collect()
    }

    fn strongest_first<'a>(
        &self,
        columns: &[(u16, &'a StringArray)],
        rows: usize,
    ) -> Result<Vec<Column<'a>>> {
        let mut sorted = Vec::with_capacity(columns.len());
        for &(namespace, values) in columns {
            if usize::from(namespace) >= self.values.len() {
                let reason = format!("there is no namespace with the number {namespace}");
                return Err(Error::invalid("identifier column", reason));
            }
            if values.len() != rows {
                let reason = format!("{} values, wanted {rows}", values.len());
                return Err(Error::invalid("identifier column", reason));
            }
            sorted.push(Column { namespace, values, numbers: Vec::new() });
        }
        sorted.sort_by_key(|column| (self.rules.tier(column.namespace), column.namespace));
        Ok(sorted)
    }

    /// The numbers of the values that have one. All look-ups of a column come one after the other,
    /// so that the processor waits for many of them at the same time.
    fn look_up(&mut self, namespace: u16, values: &StringArray) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::with_capacity(values.len());
        let mut before: Option<(&str, u32)> = None;
        for value in values {
            let Some(value) = value else {
                numbers.push(ABSENT);
                continue;
            };
            if let Some((same, number)) = before
                && same == value
            {
                numbers.push(number);
                continue;
            }
            let rules = &self.values[usize::from(namespace)];
            let number = match rules.normalise(value) {
                None => ABSENT,
                Some(normalised) => {
                    let hash = self.hash_buffer.hash(namespace, &normalised);
                    self.find_hash(hash).unwrap_or(UNKNOWN)
                }
            };
            numbers.push(number);
            before = Some((value, number));
        }
        numbers
    }

    /// The own identifier of a row, after its links are taken in.
    fn observe_row(
        &mut self,
        columns: &[Column<'_>],
        row: usize,
        ts_us: i64,
        event_id: &StringArray,
    ) -> Result<Option<u32>> {
        let mut own = None;
        let mut strongest_blocked = None;
        for column in columns.iter().filter(|column| column.numbers[row] != ABSENT) {
            match self.see_value(column, row, ts_us)? {
                Seen::Blocked(number) => {
                    strongest_blocked = strongest_blocked.or(Some((column, number)));
                }
                Seen::Connects(number) => {
                    self.saw_at(number, ts_us);
                    let own = *own.get_or_insert(number);
                    let is_link = own != number;
                    if is_link && !self.pair_cache.knows(pair_of(own, number), ts_us) {
                        self.see_link(own, number, ts_us, event_id.value(row))?;
                    }
                }
            }
        }
        match (own, strongest_blocked) {
            (None, Some((column, number))) => {
                let number = match number {
                    Some(number) => number,
                    None => self.number_value(column, row, ts_us, true)?,
                };
                self.saw_at(number, ts_us);
                Ok(Some(number))
            }
            _ => Ok(own),
        }
    }

    fn see_value(&mut self, column: &Column<'_>, row: usize, ts_us: i64) -> Result<Seen> {
        let number = column.numbers[row];
        if number != UNKNOWN {
            let is_blocked = !self.blocked.is_empty() && self.blocked.contains(number);
            return Ok(if is_blocked {
                Seen::Blocked(Some(number))
            } else {
                Seen::Connects(number)
            });
        }
        let rules = &self.values[usize::from(column.namespace)];
        let normalised = rules.normalise(column.values.value(row)).unwrap_or_default();
        if !rules.is_blocked(&normalised) {
            return Ok(Seen::Connects(self.number_value(column, row, ts_us, false)?));
        }
        // An earlier row of this batch may have numbered it.
        let hash = self.hash_buffer.hash(column.namespace, &normalised);
        Ok(Seen::Blocked(self.find_hash(hash)))
    }

    /// The number of a value that had none when the batch began.
    fn number_value(
        &mut self,
        column: &Column<'_>,
        row: usize,
        ts_us: i64,
        blocked: bool,
    ) -> Result<u32> {
        let namespace = column.namespace;
        let rules = &self.values[usize::from(namespace)];
        let normalised = rules.normalise(column.values.value(row)).unwrap_or_default();
        let hash = self.hash_buffer.hash(namespace, &normalised);
        match self.find_hash(hash) {
            Some(number) => Ok(number),
            None => self.register(namespace, &normalised, hash, ts_us, blocked),
        }
    }
}
