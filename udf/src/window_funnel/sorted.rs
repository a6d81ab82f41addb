//! The same answers over rows that come group by group and in order of time: nothing is kept of a
//! group but its starts.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array};
use datafusion::common::Result;
use datafusion::logical_expr::function::AccumulatorArgs;

use crate::conditions;
use crate::grouped_events::Event;
use crate::window_funnel::FunnelCall;
use crate::window_funnel::depth::{Front, FunnelRule};
use crate::window_funnel::mode::Pace;

/// `window_funnel` of groups that come one after the other, each in order of time.
#[derive(Clone, Debug)]
pub struct SortedFunnel {
    call: FunnelCall,
    /// The answers of the groups that are over.
    depths: Vec<i32>,
    is_open: bool,
    group: OpenGroup,
}

impl SortedFunnel {
    /// A call whose time column is that by which its rows are sorted.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn new(args: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self::of(FunnelCall::of(args)?))
    }

    fn of(call: FunnelCall) -> Self {
        Self { call, depths: Vec::new(), is_open: false, group: OpenGroup::default() }
    }

    /// The place of the time column among the arguments of the call.
    pub fn ts_index(&self) -> usize {
        self.call.ts_index
    }

    /// The next rows, by group; the first of them may go on with the group before.
    ///
    /// # Errors
    /// When the time column cannot be read as times.
    pub fn add(
        &mut self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        groups: &[Range<usize>],
        continues: bool,
    ) -> Result<()> {
        let ts = self.call.scale.steps(&values[self.call.ts_index])?;
        let conditions = &values[self.call.ts_index + 1..];
        let rule = self.call.rule;
        if rule.is_plain() {
            let steps = StepBits::of(conditions, &ts, filter);
            self.for_each_group(groups, continues, |group, rows| {
                group.observe_steps(&rule, ts.values(), &steps, rows);
            });
            return Ok(());
        }
        let masks = conditions::masks(conditions, ts.len());
        let keeps_strangers = rule.mode.needs_unmatched_rows();
        // Rows that do not count at all; strangers count in some modes.
        let is_out = |row: usize| {
            ts.is_null(row) || filter.is_some_and(|pass| pass.is_null(row) || !pass.value(row))
        };
        self.for_each_group(groups, continues, |group, rows| {
            for row in rows.filter(|&row| (keeps_strangers || masks[row] != 0) && !is_out(row)) {
                group.observe(&rule, Event { ts: ts.value(row), mask: masks[row] });
            }
        });
        Ok(())
    }

    fn for_each_group(
        &mut self,
        groups: &[Range<usize>],
        continues: bool,
        mut observe: impl FnMut(&mut OpenGroup, Range<usize>),
    ) {
        for (place, rows) in groups.iter().enumerate() {
            if place > 0 || !continues {
                self.close();
            }
            self.is_open = true;
            observe(&mut self.group, rows.clone());
        }
    }

    /// The answers of the first groups that were not given yet; all of them, if so many came.
    pub fn take(&mut self, count: usize) -> ArrayRef {
        if count > self.depths.len() {
            self.close();
        }
        let rest = self.depths.split_off(count.min(self.depths.len()));
        let taken = std::mem::replace(&mut self.depths, rest);
        Arc::new(Int32Array::from(taken))
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let moment = self.group.moment.capacity() * size_of::<Event>();
        self.depths.capacity() * size_of::<i32>() + moment + size_of::<Self>()
    }

    fn close(&mut self) {
        if self.is_open {
            self.group.pass(&self.call.rule);
            self.depths.push(self.group.front.deepest as i32);
            self.group.front.clear();
            self.is_open = false;
        }
    }
}

/// A group whose rows are coming.
#[derive(Clone, Debug, Default)]
struct OpenGroup {
    front: Front,
    /// The rows of the newest time; of a rule that is plain, one stands for all.
    moment: Vec<Event>,
}

impl OpenGroup {
    fn observe(&mut self, rule: &FunnelRule, event: Event) {
        if self.moment.last().is_some_and(|last| last.ts != event.ts) {
            self.pass(rule);
        }
        self.moment.push(event);
    }

    /// Observes those of `rows` that may serve a step of a rule that is plain.
    fn observe_steps(
        &mut self,
        rule: &FunnelRule,
        ts: &[i64],
        steps: &StepBits,
        rows: Range<usize>,
    ) {
        let mut now = self.moment.pop().unwrap_or(Event { ts: i64::MIN, mask: 0 });
        // Where the next step must be later, the earlier of two starts may reach a step at the time
        // of the later one.
        let later_starts_only = rule.mode.pace == Pace::EqualOrLater;
        for word in rows.start / WORD..rows.end.div_ceil(WORD) {
            if self.front.deepest == rule.steps {
                break;
            }
            let steps = &steps.words[word * steps.count..][..steps.count];
            let mut any = steps.iter().fold(0, |any, bits| any | bits) & bits_within(word, &rows);
            while any != 0 {
                let bit = any.trailing_zeros();
                any &= any - 1;
                let ts = ts[word * WORD + bit as usize];
                let mask = mask_at(steps, bit);
                // Of starts that nothing lies between, the later one takes the place.
                let is_later_start = later_starts_only && now.mask == FIRST && mask == FIRST;
                if now.ts == ts || is_later_start {
                    now = Event { ts, mask: now.mask | mask };
                    continue;
                }
                rule.pass_plain(now, &mut self.front);
                now = Event { ts, mask };
            }
        }
        self.moment.push(now);
    }

    fn pass(&mut self, rule: &FunnelRule) {
        if !self.moment.is_empty() && self.front.deepest < rule.steps {
            self.moment.sort_unstable();
            rule.pass(&self.moment, &mut self.front);
        }
        self.moment.clear();
    }
}

/// The mask of a row that serves only the first step.
const FIRST: u32 = 1;

/// How many rows a word has bits for.
const WORD: usize = u64::BITS as usize;

/// Which rows may serve which step: for each word of rows a word of each step.
struct StepBits {
    count: usize,
    words: Vec<u64>,
}

impl StepBits {
    /// NULL is false, and what has no time or does not pass the filter serves no step.
    fn of(conditions: &[ArrayRef], ts: &Int64Array, filter: Option<&BooleanArray>) -> Self {
        let count = conditions.len();
        let mut words = vec![0; count * ts.len().div_ceil(WORD)];
        for (step, condition) in conditions.iter().enumerate() {
            // A column of type NULL is true nowhere.
            if let Some(condition) = condition.as_boolean_opt() {
                let bits = conditions::true_rows(condition);
                let places = words.iter_mut().skip(step).step_by(count);
                let bits = bits.bit_chunks();
                places.zip(bits.iter_padded()).for_each(|(place, bits)| *place = bits);
            }
        }
        let timed = ts.nulls().map(|nulls| nulls.inner().clone());
        for counts in timed.into_iter().chain(filter.map(conditions::true_rows)) {
            let places = words.chunks_exact_mut(count);
            for (steps, bits) in places.zip(counts.bit_chunks().iter_padded()) {
                steps.iter_mut().for_each(|step| *step &= bits);
            }
        }
        Self { count, words }
    }
}

/// The steps that a row may serve.
fn mask_at(steps: &[u64], bit: u32) -> u32 {
    let steps = (0_u32..).zip(steps);
    steps.fold(0, |mask, (step, bits)| mask | ((((bits >> bit) & 1) as u32) << step))
}

/// The bits of a word whose rows are among these, of which it has some.
fn bits_within(word: usize, rows: &Range<usize>) -> u64 {
    let before = rows.start.saturating_sub(word * WORD);
    let behind = ((word + 1) * WORD).saturating_sub(rows.end);
    (u64::MAX << before) & (u64::MAX >> behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_scale::TimeScale;
    use crate::window_funnel::{FunnelMode, WindowFunnel};
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    fn sorted(rule: FunnelRule, groups: &[Vec<(i64, u8, bool)>], batch_rows: usize) -> Vec<i32> {
        let wording = crate::window_funnel::WORDING;
        let scale = TimeScale::of(&DataType::Int64, wording).unwrap();
        let mut funnel = SortedFunnel::of(FunnelCall { rule, scale, ts_index: 0 });
        let rows = groups.iter().enumerate();
        let rows = rows.flat_map(|(group, rows)| rows.iter().map(move |row| (group, *row)));
        let rows = rows.collect::<Vec<_>>();
        let mut last = None;
        for rows in rows.chunks(batch_rows) {
            let ts: Int64Array = rows.iter().map(|(_, row)| row.0).collect::<Vec<_>>().into();
            let mut values: Vec<ArrayRef> = vec![Arc::new(ts)];
            for step in 0..rule.steps {
                let bits = rows.iter().map(|(_, row)| row.1 & (1 << step) != 0);
                values.push(Arc::new(BooleanArray::from(bits.collect::<Vec<_>>())));
            }
            let pass = BooleanArray::from(rows.iter().map(|(_, row)| row.2).collect::<Vec<_>>());
            let mut spans = Vec::new();
            let mut start = 0;
            for same in rows.chunk_by(|a, b| a.0 == b.0) {
                spans.push(start..start + same.len());
                start += same.len();
            }
            funnel.add(&values, Some(&pass), &spans, last == Some(rows[0].0)).unwrap();
            last = rows.last().map(|row| row.0);
        }
        let first = funnel.take(funnel.depths.len().min(2));
        let others = funnel.take(usize::MAX);
        let depths = |array: &ArrayRef| {
            array.as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec()
        };
        [depths(&first), depths(&others)].concat()
    }

    // If this fails, a funnel over the walk differs from the same funnel over any other plan.
    #[test]
    fn rows_in_order_reach_as_deep_as_rows_in_any_order() {
        let row = (0..9_i64, 0..8_u8, prop::bool::weighted(0.9));
        let groups = prop::collection::vec(prop::collection::vec(row, 1..12), 1..6);
        let modes = prop::sample::select(vec![
            "default",
            "strict_increase",
            "strict_once",
            "strict_deduplication",
            "strict_order",
            "strict_order,allow_reentry",
        ]);
        proptest!(|(mut groups in groups, mode in modes, window in 0..7_i64, batch in 1..9_usize)| {
            let rule = FunnelRule { steps: 3, window, mode: FunnelMode::parse(mode).unwrap() };
            groups.iter_mut().for_each(|rows| rows.sort_by_key(|row| row.0));
            let expected = groups.iter().map(|rows| {
                let mut funnel = WindowFunnel::default();
                let counts = |mask| mask != 0 || rule.mode.needs_unmatched_rows();
                for &(ts, mask, passes) in rows {
                    if passes && counts(mask) {
                        funnel.observe(Event { ts, mask: u32::from(mask) });
                    }
                }
                funnel.answer(&rule) as i32
            });
            let expected = expected.collect::<Vec<_>>();
            prop_assert_eq!(sorted(rule, &groups, batch), expected);
        });
    }

    /// A row of a batch: its time, whether each condition is true, and whether it passes the filter.
    type Row = (Option<i64>, [Option<bool>; 3], Option<bool>);

    /// A row by its bits: so many rows of many parts each would take long to think of.
    fn row(ts: i64, bits: u16) -> Row {
        let truth = |step: u16| match bits >> (2 * step) & 3 {
            0 => Some(true),
            1 => None,
            _ => Some(false),
        };
        let passes = match bits >> 6 & 7 {
            0 => None,
            value => Some(value > 1),
        };
        (Some(ts).filter(|&ts| ts < 60), [truth(0), truth(1), truth(2)], passes)
    }

    /// The column of the rows, as a part of a longer one; beneath NULL lies what looks like true.
    fn sliced(values: impl Iterator<Item = Option<bool>>) -> BooleanArray {
        let longer = [Some(true); 5].into_iter().chain(values).collect::<Vec<_>>();
        let truths = longer.iter().map(|value| value.unwrap_or(true)).collect();
        let nulls = longer.iter().map(Option::is_some).collect::<Vec<_>>();
        BooleanArray::new(truths, Some(nulls.into())).slice(5, longer.len() - 5)
    }

    fn by_steps(rule: FunnelRule, groups: &[Vec<Row>], batch_rows: usize) -> Vec<i32> {
        let scale = TimeScale::of(&DataType::Int64, crate::window_funnel::WORDING).unwrap();
        let mut funnel = SortedFunnel::of(FunnelCall { rule, scale, ts_index: 0 });
        let rows = groups.iter().enumerate();
        let rows = rows.flat_map(|(group, rows)| rows.iter().map(move |row| (group, *row)));
        let rows = rows.collect::<Vec<_>>();
        let mut last = None;
        for rows in rows.chunks(batch_rows) {
            let ts = rows.iter().map(|(_, row)| row.0).collect::<Int64Array>();
            let mut values: Vec<ArrayRef> = vec![Arc::new(ts)];
            for step in 0..3 {
                values.push(Arc::new(sliced(rows.iter().map(|(_, row)| row.1[step]))));
            }
            let filter = sliced(rows.iter().map(|(_, row)| row.2));
            let mut spans = Vec::new();
            let mut start = 0;
            for same in rows.chunk_by(|a, b| a.0 == b.0) {
                spans.push(start..start + same.len());
                start += same.len();
            }
            funnel.add(&values, Some(&filter), &spans, last == Some(rows[0].0)).unwrap();
            last = rows.last().map(|row| row.0);
        }
        funnel.take(usize::MAX).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec()
    }

    fn one_by_one(rule: &FunnelRule, rows: &[Row]) -> i32 {
        let mut funnel = WindowFunnel::default();
        for (ts, truths, passes) in rows {
            let bits = (0..).zip(truths);
            let mask = bits.map(|(step, truth)| u32::from(*truth == Some(true)) << step).sum();
            if let (Some(ts), Some(true)) = (*ts, *passes) {
                funnel.observe(Event { ts, mask });
            }
        }
        funnel.answer(rule) as i32
    }

    #[test]
    fn an_earlier_start_reaches_a_step_at_the_time_of_a_later_start() {
        let mode = FunnelMode::parse("strict_increase").unwrap();
        let rule = FunnelRule { steps: 3, window: 2, mode };
        let rows = [(11, 1), (13, 1), (13, 3)].map(|(ts, mask)| (ts, mask, true));
        assert_eq!(sorted(rule, &[rows.to_vec()], 5), [2]);
    }

    // If this fails, a plain funnel takes rows for steps that they are not, or loses some.
    #[test]
    fn many_rows_by_their_bits_reach_as_deep_as_one_after_the_other() {
        let row = (0..64_i64, any::<u16>()).prop_map(|(ts, bits)| row(ts, bits));
        let groups = prop::collection::vec(prop::collection::vec(row, 1..60), 1..7);
        let mode = prop::sample::select(vec!["default", "strict_increase"]);
        let how = (mode, 0..9_i64, 1..200_usize);
        proptest!(|(mut groups in groups, (mode, window, batch) in how)| {
            let rule = FunnelRule { steps: 3, window, mode: FunnelMode::parse(mode).unwrap() };
            // Rows without a time are last.
            groups.iter_mut().for_each(|rows| rows.sort_by_key(|row| (row.0.is_none(), row.0)));
            let expected = groups.iter().map(|rows| one_by_one(&rule, rows)).collect::<Vec<_>>();
            prop_assert_eq!(by_steps(rule, &groups, batch), expected);
        });
    }
}
