//! The same answers over rows that come group by group and in order of time: nothing is kept of a
//! group but its starts.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array};
use datafusion::common::Result;
use datafusion::logical_expr::function::AccumulatorArgs;

use crate::conditions;
use crate::grouped_events::Event;
use crate::window_funnel::FunnelCall;
use crate::window_funnel::depth::{Front, FunnelRule};

/// `window_funnel` of groups that come one after the other, each in order of time.
#[derive(Clone, Debug)]
pub struct SortedFunnel {
    call: FunnelCall,
    /// The answers of the groups that are over.
    depths: Vec<i32>,
    group: Option<OpenGroup>,
}

impl SortedFunnel {
    /// A call whose time column is that by which its rows are sorted.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn new(args: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self { call: FunnelCall::of(args)?, depths: Vec::new(), group: None })
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
        let mut masks = conditions::masks(&values[self.call.ts_index + 1..], ts.len());
        let rule = self.call.rule;
        let keeps_strangers = rule.mode.needs_unmatched_rows();
        // Rows that do not count at all; strangers count in some modes.
        let is_out = |row: usize| {
            ts.is_null(row) || filter.is_some_and(|pass| pass.is_null(row) || !pass.value(row))
        };
        let may_be_out = filter.is_some() || ts.null_count() > 0;
        if may_be_out && !keeps_strangers {
            (0..masks.len()).filter(|&row| is_out(row)).for_each(|row| masks[row] = 0);
        }
        for (place, rows) in groups.iter().enumerate() {
            if place > 0 || !continues {
                self.close();
            }
            let group = self.group.get_or_insert_with(OpenGroup::default);
            let times = &ts.values()[rows.clone()];
            let rows = rows.clone().zip(times.iter().zip(&masks[rows.clone()]));
            for (row, (&ts, &mask)) in rows {
                let counts = match keeps_strangers {
                    true => !may_be_out || !is_out(row),
                    false => mask != 0,
                };
                if counts {
                    group.observe(&rule, Event { ts, mask });
                }
            }
        }
        Ok(())
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
        let moment = self.group.as_ref().map_or(0, |group| group.moment.capacity());
        self.depths.capacity() * size_of::<i32>() + moment * size_of::<Event>() + size_of::<Self>()
    }

    fn close(&mut self) {
        if let Some(mut group) = self.group.take() {
            group.pass(&self.call.rule);
            self.depths.push(group.front.deepest as i32);
        }
    }
}

/// A group whose rows are coming.
#[derive(Clone, Debug, Default)]
struct OpenGroup {
    front: Front,
    /// The rows of the newest time; of a rule that only asks what there was, one stands for all.
    moment: Vec<Event>,
}

impl OpenGroup {
    fn observe(&mut self, rule: &FunnelRule, event: Event) {
        let now = self.moment.last_mut().filter(|last| last.ts == event.ts);
        match now {
            Some(last) if rule.is_plain() => {
                last.mask |= event.mask;
                return;
            }
            Some(_) => {}
            None => self.pass(rule),
        }
        self.moment.push(event);
    }

    fn pass(&mut self, rule: &FunnelRule) {
        if !self.moment.is_empty() && self.front.deepest < rule.steps {
            if !rule.is_plain() {
                self.moment.sort_unstable();
            }
            rule.pass(&self.moment, &mut self.front);
        }
        self.moment.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_scale::TimeScale;
    use crate::window_funnel::{FunnelMode, WindowFunnel};
    use arrow::array::Int64Array;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    fn sorted(rule: FunnelRule, groups: &[Vec<(i64, u8, bool)>], batch_rows: usize) -> Vec<i32> {
        let wording = crate::window_funnel::WORDING;
        let scale = TimeScale::of(&DataType::Int64, wording).unwrap();
        let call = FunnelCall { rule, scale, ts_index: 0 };
        let mut funnel = SortedFunnel { call, depths: Vec::new(), group: None };
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
}
