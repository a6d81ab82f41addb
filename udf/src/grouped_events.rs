//! The matched rows of very many groups, compact: three flat columns, no allocation per group.
//!
//! Rows are appended as they come (16 bytes each) and brought together by group only when they are
//! asked for: a counting sort, or nothing at all when the input came clustered by group.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, LargeListArray, UInt32Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt32Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::EmitTo;
use datafusion::logical_expr::utils::format_state_name;

/// One matched row: when, and which conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Event {
    /// The time in the column's own steps.
    pub ts: i64,
    /// Bit `i` is set when condition `i` is true.
    pub mask: u32,
}

/// The matched rows of all groups.
#[derive(Debug, Default)]
pub(crate) struct GroupedEvents {
    groups: Vec<u32>,
    ts: Vec<i64>,
    masks: Vec<u32>,
    group_count: usize,
}

/// Matched rows, those of one group side by side, in order of arrival.
#[derive(Debug)]
pub(crate) struct EventsByGroup {
    starts: Vec<usize>,
    ts: Vec<i64>,
    masks: Vec<u32>,
}

impl GroupedEvents {
    /// Makes room for groups that may have no rows.
    pub(crate) fn ensure_groups(&mut self, total: usize) -> Result<()> {
        if u32::try_from(total).is_err() {
            return Err(exec_datafusion_err!("too many groups. came={total}, most={}", u32::MAX));
        }
        self.group_count = self.group_count.max(total);
        Ok(())
    }

    /// Adds a row to a group that [`Self::ensure_groups`] made room for.
    pub(crate) fn push(&mut self, group: usize, event: Event) {
        self.groups.push(group as u32);
        self.ts.push(event.ts);
        self.masks.push(event.mask);
    }

    /// Adds what another accumulator's [`EventsByGroup::into_state`] answered.
    pub(crate) fn merge(&mut self, state: &[ArrayRef], groups: &[usize]) {
        let (ts_lists, mask_lists) = (state[0].as_list::<i64>(), state[1].as_list::<i64>());
        let ts = ts_lists.values().as_primitive::<Int64Type>().values();
        let masks = mask_lists.values().as_primitive::<UInt32Type>().values();
        let mask_offsets = mask_lists.value_offsets();
        for (row, (range, &group)) in ts_lists.value_offsets().windows(2).zip(groups).enumerate() {
            let (first, end) = (range[0] as usize, range[1] as usize);
            let first_mask = mask_offsets[row] as usize;
            for index in first..end {
                let mask = masks[first_mask + index - first];
                self.push(group, Event { ts: ts[index], mask });
            }
        }
    }

    /// Takes the rows of the groups to emit; the groups that stay are numbered from 0 again.
    pub(crate) fn take(&mut self, emit_to: EmitTo) -> EventsByGroup {
        let emitted = match emit_to {
            EmitTo::All => self.group_count,
            EmitTo::First(count) => count.min(self.group_count),
        };
        if emitted == self.group_count {
            return std::mem::take(self).cluster();
        }
        let mut first = Self { group_count: emitted, ..Self::default() };
        let mut kept = 0;
        for row in 0..self.groups.len() {
            let group = self.groups[row] as usize;
            let event = Event { ts: self.ts[row], mask: self.masks[row] };
            if group < emitted {
                first.push(group, event);
            } else {
                self.groups[kept] = (group - emitted) as u32;
                self.ts[kept] = event.ts;
                self.masks[kept] = event.mask;
                kept += 1;
            }
        }
        self.groups.truncate(kept);
        self.ts.truncate(kept);
        self.masks.truncate(kept);
        self.group_count -= emitted;
        first.cluster()
    }

    fn cluster(self) -> EventsByGroup {
        let mut starts = vec![0; self.group_count + 1];
        for &group in &self.groups {
            starts[group as usize + 1] += 1;
        }
        for group in 0..self.group_count {
            starts[group + 1] += starts[group];
        }
        if self.groups.is_sorted() {
            return EventsByGroup { starts, ts: self.ts, masks: self.masks };
        }
        let mut next = starts.clone();
        let mut ts = vec![0; self.ts.len()];
        let mut masks = vec![0; self.masks.len()];
        for (row, &group) in self.groups.iter().enumerate() {
            let place = &mut next[group as usize];
            ts[*place] = self.ts[row];
            masks[*place] = self.masks[row];
            *place += 1;
        }
        EventsByGroup { starts, ts, masks }
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        size_of_val(self)
            + self.groups.capacity() * size_of::<u32>()
            + self.ts.capacity() * size_of::<i64>()
            + self.masks.capacity() * size_of::<u32>()
    }
}

impl EventsByGroup {
    /// The rows of a single group.
    pub(crate) fn of_one_group(events: &[Event]) -> Self {
        Self {
            starts: vec![0, events.len()],
            ts: events.iter().map(|event| event.ts).collect(),
            masks: events.iter().map(|event| event.mask).collect(),
        }
    }

    /// Asks for each group's answer in turn; the events are sorted by time, then mask.
    pub(crate) fn answers<T>(&self, answer: impl Fn(&[Event]) -> T) -> Vec<T> {
        let mut events = Vec::new();
        let groups = self.starts.windows(2);
        groups
            .map(|range| {
                let rows = range[0]..range[1];
                events.clear();
                let pairs = self.ts[rows.clone()].iter().zip(&self.masks[rows]);
                events.extend(pairs.map(|(&ts, &mask)| Event { ts, mask }));
                if !events.is_sorted() {
                    events.sort_unstable();
                }
                answer(&events)
            })
            .collect()
    }

    /// The state that travels between partitions: a list of times and a list of masks per group.
    pub(crate) fn into_state(self) -> Vec<ArrayRef> {
        let offsets: ScalarBuffer<i64> = self.starts.iter().map(|&start| start as i64).collect();
        let offsets = OffsetBuffer::new(offsets);
        let [ts_item, mask_item] = item_fields();
        let ts = Arc::new(Int64Array::from(self.ts));
        let masks = Arc::new(UInt32Array::from(self.masks));
        vec![
            Arc::new(LargeListArray::new(ts_item, offsets.clone(), ts, None)),
            Arc::new(LargeListArray::new(mask_item, offsets, masks, None)),
        ]
    }
}

fn item_fields() -> [FieldRef; 2] {
    [DataType::Int64, DataType::UInt32].map(|item| Arc::new(Field::new("item", item, false)))
}

/// The fields of [`EventsByGroup::into_state`].
pub(crate) fn state_fields(name: &str) -> Vec<FieldRef> {
    let names = ["ts", "conditions"];
    let fields = names.into_iter().zip(item_fields());
    fields
        .map(|(part, item)| {
            let list = DataType::LargeList(item);
            Arc::new(Field::new(format_state_name(name, part), list, false))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    fn event(ts: i64) -> Event {
        Event { ts, mask: 1 }
    }

    fn times(events: &EventsByGroup) -> Vec<Vec<i64>> {
        events.answers(|events| events.iter().map(|event| event.ts).collect())
    }

    #[test]
    fn rows_come_out_by_group_and_time_whatever_their_arrival() {
        let mut grouped = GroupedEvents::default();
        grouped.ensure_groups(4).unwrap();
        for (group, ts) in [(2, 9), (0, 5), (2, 3), (0, 4)] {
            grouped.push(group, event(ts));
        }
        let answers = times(&grouped.take(EmitTo::All));
        assert_eq!(answers, [vec![4, 5], vec![], vec![3, 9], vec![]]);
    }

    #[test]
    fn emitting_the_first_groups_renumbers_the_rest() {
        let mut grouped = GroupedEvents::default();
        grouped.ensure_groups(3).unwrap();
        for (group, ts) in [(2, 9), (0, 5), (1, 3)] {
            grouped.push(group, event(ts));
        }
        assert_eq!(times(&grouped.take(EmitTo::First(1))), [[5]]);
        assert_eq!(times(&grouped.take(EmitTo::All)), [[3], [9]]);
        assert_eq!(grouped.take(EmitTo::All).answers(<[Event]>::len), [0; 0]);
    }

    #[test]
    fn state_survives_a_merge_of_sliced_arrays() {
        let mut grouped = GroupedEvents::default();
        grouped.ensure_groups(2).unwrap();
        for (group, ts) in [(0, 1), (1, 2), (1, 3)] {
            grouped.push(group, event(ts));
        }
        let state = grouped.take(EmitTo::All).into_state();
        let second: Vec<_> = state.iter().map(|column| column.slice(1, 1)).collect();
        grouped.ensure_groups(1).unwrap();
        grouped.merge(&second, &[0]);
        assert_eq!(times(&grouped.take(EmitTo::All)), [[2, 3]]);
    }
}
