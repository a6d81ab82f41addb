//! From the values of events to numbers and links.

use super::Stitcher;
use crate::dictionary::HashBuffer;
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
    /// The hashes of those that are unknown, in their order.
    unknown: std::vec::IntoIter<u128>,
}

/// The rows of a batch, with the numbers of those values that had one when they were looked up.
pub(crate) struct LookedUp<'a> {
    /// Strongest namespace first.
    columns: Vec<Column<'a>>,
    ts: &'a TimestampMicrosecondArray,
    event_id: &'a StringArray,
}

/// What stands in one row of one column.
enum Seen {
    /// An identifier that may connect.
    Connects(u32),
    /// A value that never connects, with its number.
    Blocked(u32),
    /// The same without a number yet: its namespace, normalised value and hash.
    NewBlocked(u16, String, u128),
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
        let rows = self.look_up(columns, ts, event_id)?;
        self.observe_known(rows)
    }

    /// The first half of [`Stitcher::observe`], which changes nothing: several batches can be looked
    /// up at the same time.
    pub(crate) fn look_up<'a>(
        &self,
        columns: &[(u16, &'a StringArray)],
        ts: &'a TimestampMicrosecondArray,
        event_id: &'a StringArray,
    ) -> Result<LookedUp<'a>> {
        let mut columns = self.strongest_first(columns, ts.len())?;
        if event_id.len() != ts.len() || ts.null_count() > 0 {
            let reason = "event_id and ts must be as long as each other, ts without gaps";
            return Err(Error::invalid("batch", reason));
        }
        for column in &mut columns {
            self.number(column);
        }
        Ok(LookedUp { columns, ts, event_id })
    }

    /// The second half of [`Stitcher::observe`], batch by batch in their order.
    pub(crate) fn observe_known(&mut self, rows: LookedUp<'_>) -> Result<UInt32Array> {
        let LookedUp { mut columns, ts, event_id } = rows;
        let rows = (0..ts.len()).zip(ts.values());
        let own = rows.map(|(row, ts)| self.observe_row(&mut columns, row, *ts, event_id));
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
            let (numbers, unknown) = (Vec::new(), Vec::new().into_iter());
            sorted.push(Column { namespace, values, numbers, unknown });
        }
        sorted.sort_by_key(|column| (self.rules.tier(column.namespace), column.namespace));
        Ok(sorted)
    }

    /// Numbers the values that have a number, and hashes the others. All look-ups of a column come one
    /// after the other, so that the processor waits for many of them at the same time.
    fn number(&self, column: &mut Column<'_>) {
        let rules = &self.values[usize::from(column.namespace)];
        let mut hasher = HashBuffer::default();
        let mut unknown = Vec::new();
        let mut before: Option<(&str, u32)> = None;
        column.numbers.reserve(column.values.len());
        for value in column.values {
            let Some(value) = value else {
                column.numbers.push(ABSENT);
                continue;
            };
            let number = match before {
                Some((same, number)) if same == value => {
                    if number == UNKNOWN {
                        unknown.extend(unknown.last().copied());
                    }
                    number
                }
                _ => match rules.normalise(value) {
                    None => ABSENT,
                    Some(normalised) => {
                        let hash = hasher.hash(column.namespace, &normalised);
                        self.find_hash(hash).unwrap_or_else(|| {
                            unknown.push(hash);
                            UNKNOWN
                        })
                    }
                },
            };
            column.numbers.push(number);
            before = Some((value, number));
        }
        column.unknown = unknown.into_iter();
    }

    /// The own identifier of a row, after its links are taken in.
    fn observe_row(
        &mut self,
        columns: &mut [Column<'_>],
        row: usize,
        ts_us: i64,
        event_id: &StringArray,
    ) -> Result<Option<u32>> {
        let mut own = None;
        let mut strongest_blocked = None;
        for column in columns.iter_mut().filter(|column| column.numbers[row] != ABSENT) {
            match self.see_value(column, row, ts_us)? {
                Seen::Connects(number) => {
                    self.saw_at(number, ts_us);
                    let own = *own.get_or_insert(number);
                    let is_link = own != number;
                    if is_link && !self.pair_cache.knows(pair_of(own, number), ts_us) {
                        self.see_link(own, number, ts_us, event_id.value(row))?;
                    }
                }
                blocked => strongest_blocked = strongest_blocked.or(Some(blocked)),
            }
        }
        let number = match (own, strongest_blocked) {
            (None, Some(Seen::NewBlocked(namespace, value, hash))) => {
                self.register(namespace, &value, hash, ts_us, true)?
            }
            (None, Some(Seen::Blocked(number) | Seen::Connects(number))) => number,
            (own, _) => return Ok(own),
        };
        self.saw_at(number, ts_us);
        Ok(Some(number))
    }

    fn see_value(&mut self, column: &mut Column<'_>, row: usize, ts_us: i64) -> Result<Seen> {
        let number = match column.numbers[row] {
            UNKNOWN => {
                let hash = column.unknown.next();
                let hash = hash.ok_or_else(|| Error::Internal("a value has no hash".into()))?;
                // An earlier row may have numbered it since.
                match self.fresh.find(hash) {
                    Some(number) => number,
                    None => return self.see_new(column, row, ts_us, hash),
                }
            }
            number => number,
        };
        let is_blocked = !self.blocked.is_empty() && self.blocked.contains(number);
        Ok(if is_blocked { Seen::Blocked(number) } else { Seen::Connects(number) })
    }

    /// A value that has no number, which it gets if it may connect.
    fn see_new(&mut self, column: &Column<'_>, row: usize, ts_us: i64, hash: u128) -> Result<Seen> {
        let namespace = column.namespace;
        let rules = &self.values[usize::from(namespace)];
        let normalised = rules.normalise(column.values.value(row)).unwrap_or_default();
        if rules.is_blocked(&normalised) {
            return Ok(Seen::NewBlocked(namespace, normalised.into_owned(), hash));
        }
        Ok(Seen::Connects(self.register(namespace, &normalised, hash, ts_us, false)?))
    }
}
