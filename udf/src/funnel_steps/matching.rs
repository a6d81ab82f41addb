//! Which steps a set of events can fill when each event fills only one: augmenting paths.

use super::{EXCLUDED, Event, STEPS_MAX, fills};

/// A growing assignment of events to steps first, first + 1, ….
///
/// Events with the same mask are interchangeable, so of each kind no more are kept than there
/// are steps: a million equal events cost what 32 do.
pub(super) struct Matching {
    steps: usize,
    /// The mask of the events that were offered, and the step that each one fills.
    offered: Vec<(u32, Option<usize>)>,
}

impl Matching {
    pub(super) fn new(steps: usize) -> Self {
        Self { steps, offered: Vec::new() }
    }

    pub(super) fn offer(&mut self, event: &Event) {
        let mask = event.mask & !EXCLUDED;
        let same = self.offered.iter().filter(|(known, _)| *known == mask).count();
        if mask != 0 && same < self.steps {
            self.offered.push((mask, None));
        }
    }

    /// Finds an event for this step, moving events between earlier steps where needed.
    pub(super) fn fill(&mut self, step: usize) -> bool {
        self.augment(step, &mut vec![false; self.offered.len()], STEPS_MAX)
    }

    /// `depth_max` bounds the recursion: a path visits each step at most once.
    fn augment(&mut self, step: usize, visited: &mut [bool], depth_max: usize) -> bool {
        for index in 0..self.offered.len() {
            let (mask, filled) = self.offered[index];
            if visited[index] || mask >> step & 1 == 0 {
                continue;
            }
            visited[index] = true;
            let is_free = match filled {
                None => true,
                Some(other) => depth_max > 0 && self.augment(other, visited, depth_max - 1),
            };
            if is_free {
                self.offered[index].1 = Some(step);
                return true;
            }
        }
        false
    }
}

/// How many of the steps first, first + 1, … these events can fill together.
pub(super) fn steps_filled(events: &[Event], first: usize, steps: usize) -> usize {
    if let [only] = events {
        return usize::from(first < steps && fills(only, first));
    }
    let mut matching = Matching::new(steps);
    for event in events {
        matching.offer(event);
    }
    (first..steps).take_while(|step| matching.fill(*step)).count()
}
