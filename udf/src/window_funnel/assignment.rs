//! Which of several rows with the same time serves which step: matching of steps and rows.

/// How many steps from `first` on, one after another, can each have a row of their own.
///
/// Kuhn's augmenting paths, one step after the other: when a step finds no path, no assignment
/// of all steps up to it exists.
pub(super) fn steps_served(first: u32, masks: &[u32]) -> u32 {
    let rows = rows_worth_keeping(first, masks);
    let mut step_of_row = vec![None; rows.len()];
    let mut step = first;
    while step < u32::BITS {
        let mut visited = vec![false; rows.len()];
        if !augment_step(step, &rows, &mut step_of_row, &mut visited) {
            break;
        }
        step += 1;
    }
    step - first
}

/// Whether every row can serve a step of its own; a row's mask holds the steps that it may serve.
pub(super) fn all_rows_serve(masks: &[u32]) -> bool {
    let mut row_of_step = [None; u32::BITS as usize];
    masks.len() <= row_of_step.len()
        && (0..masks.len()).all(|row| augment_row(row, masks, &mut row_of_step, &mut 0))
}

/// More rows for one step than there are steps cannot help: a step always finds one that is free.
/// So a million rows with one timestamp cost no more than a thousand.
fn rows_worth_keeping(first: u32, masks: &[u32]) -> Vec<u32> {
    let mut kept_for_step = [0_u32; u32::BITS as usize];
    let mut rows = Vec::new();
    for &mask in masks {
        let steps = (mask >> first) << first;
        let mut wanted = false;
        for step in bits(steps) {
            let kept = &mut kept_for_step[step as usize];
            wanted |= *kept < u32::BITS;
        }
        if wanted {
            bits(steps).for_each(|step| kept_for_step[step as usize] += 1);
            rows.push(steps);
        }
    }
    rows
}

fn augment_step(
    step: u32,
    rows: &[u32],
    step_of_row: &mut [Option<u32>],
    visited: &mut [bool],
) -> bool {
    for row in 0..rows.len() {
        if rows[row] & (1 << step) == 0 || visited[row] {
            continue;
        }
        visited[row] = true;
        let free = match step_of_row[row] {
            None => true,
            Some(other) => augment_step(other, rows, step_of_row, visited),
        };
        if free {
            step_of_row[row] = Some(step);
            return true;
        }
    }
    false
}

fn augment_row(
    row: usize,
    masks: &[u32],
    row_of_step: &mut [Option<usize>],
    visited: &mut u32,
) -> bool {
    for step in bits(masks[row]) {
        if *visited & (1 << step) != 0 {
            continue;
        }
        *visited |= 1 << step;
        let free = match row_of_step[step as usize] {
            None => true,
            Some(other) => augment_row(other, masks, row_of_step, visited),
        };
        if free {
            row_of_step[step as usize] = Some(row);
            return true;
        }
    }
    false
}

fn bits(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_choice_is_undone_when_a_later_step_needs_the_row() {
        // The first row could serve step 0 or 1, the second only step 0.
        assert_eq!(steps_served(0, &[0b011, 0b001]), 2);
        assert_eq!(steps_served(0, &[0b011, 0b001, 0b010]), 2);
        assert_eq!(steps_served(1, &[0b011, 0b001]), 1);
        assert_eq!(steps_served(0, &[]), 0);
    }

    #[test]
    fn a_million_equal_rows_cost_little() {
        assert_eq!(steps_served(0, &vec![u32::MAX; 1_000_000]), 32);
    }

    #[test]
    fn rows_beyond_the_steps_cannot_all_serve() {
        assert!(all_rows_serve(&[0b11, 0b01]));
        assert!(!all_rows_serve(&[0b01, 0b01]));
        assert!(!all_rows_serve(&[0b11, 0]));
        assert!(all_rows_serve(&[]));
    }
}
