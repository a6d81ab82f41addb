//! `window_funnel` word for word from its definition, by trying everything.

/// The deepest step over all starts.
pub fn depth(rows: &[(i64, u32)], steps: u32, window: i64, mode: &str) -> u32 {
    let has = |word: &str| mode.contains(word);
    let by_moments = starts(rows).map(|start| from_start(rows, start, steps, window, mode));
    let by_moments = by_moments.max().unwrap_or(0);
    if !has("strict_order") && !has("strict_deduplication") {
        let chains = starts(rows).map(|start| longest_chain(rows, start, steps, window, mode));
        assert_eq!(chains.max().unwrap_or(0), by_moments, "{mode} {window} {rows:?}");
    }
    let times: std::collections::BTreeSet<i64> = rows.iter().map(|&(ts, _)| ts).collect();
    if times.len() == rows.len() {
        let walks = starts(rows).map(|start| row_by_row(rows, start, steps, window, mode));
        assert_eq!(walks.max().unwrap_or(0), by_moments, "{mode} {window} {rows:?}");
    }
    by_moments
}

fn starts(rows: &[(i64, u32)]) -> impl Iterator<Item = i64> {
    rows.iter().filter(|(_, mask)| mask & 1 == 1).map(|&(ts, _)| ts)
}

/// Without ties nothing needs interpretation: one row after the other.
fn row_by_row(rows: &[(i64, u32)], start: i64, steps: u32, window: i64, mode: &str) -> u32 {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.retain(|&(ts, _)| ts >= start && ts <= start + window);
    let mut depth = 0;
    for (_, mask) in rows {
        let before = depth;
        while depth < steps && mask & (1 << depth) != 0 {
            depth += 1;
            if mode.contains("strict_once") || mode.contains("strict_increase") {
                break;
            }
        }
        let matches_reached = mask & ((1 << depth) - 1) != 0;
        let stranger = match mode.contains("allow_reentry") {
            true => mask == 0,
            false => mode.contains("strict_order") && !matches_reached,
        };
        let repeat = mode.contains("strict_deduplication") && matches_reached && depth == before;
        if stranger || repeat {
            break;
        }
    }
    depth
}

/// The longest chain of rows, each tried as the next step; a used row is marked.
fn longest_chain(rows: &[(i64, u32)], start: i64, steps: u32, window: i64, mode: &str) -> u32 {
    fn extend(
        rows: &[(i64, u32)],
        used: &mut Vec<usize>,
        (ts, step): (i64, u32),
        (end, steps, mode): (i64, u32, &str),
    ) -> u32 {
        if step == steps {
            return step;
        }
        let mut best = step;
        for (index, &(next, mask)) in rows.iter().enumerate() {
            let later =
                if mode.contains("strict_increase") && step > 0 { next > ts } else { next >= ts };
            let free = !mode.contains("strict_once") || !used.contains(&index);
            // The first step is the start itself.
            let in_time = next <= end && (step > 0 || next == ts);
            if mask & (1 << step) != 0 && later && free && in_time {
                used.push(index);
                best = best.max(extend(rows, used, (next, step + 1), (end, steps, mode)));
                used.pop();
            }
        }
        best
    }
    extend(rows, &mut Vec::new(), (start, 0), (start + window, steps, mode))
}

/// One start, moment by moment.
fn from_start(rows: &[(i64, u32)], start: i64, steps: u32, window: i64, mode: &str) -> u32 {
    let mut depth = 0;
    for ts in start..=start + window {
        let moment: Vec<u32> =
            rows.iter().filter(|(time, _)| *time == ts).map(|&(_, mask)| mask).collect();
        let reached = (depth..=steps)
            .filter(|&to| !services(&moment, depth, to, mode).is_empty())
            .max()
            .unwrap_or(depth);
        let ends = ts > start && forbidden(&moment, depth, reached, mode);
        depth = reached;
        if ends {
            break;
        }
    }
    depth
}

/// All ways in which rows can serve the steps from one depth to another: a row for each step.
fn services(moment: &[u32], from: u32, to: u32, mode: &str) -> Vec<Vec<usize>> {
    if mode.contains("strict_increase") && to > from + 1 {
        return vec![];
    }
    let mut ways = vec![vec![]];
    for step in from..to {
        let mut longer = Vec::new();
        for way in ways {
            for (row, mask) in moment.iter().enumerate() {
                let taken = mode.contains("strict_once") && way.contains(&row);
                if mask & (1 << step) != 0 && !taken {
                    longer.push([&way[..], &[row]].concat());
                }
            }
        }
        ways = longer;
    }
    ways
}

fn forbidden(moment: &[u32], from: u32, to: u32, mode: &str) -> bool {
    let reached = (1 << to) - 1;
    let stranger = |&mask: &u32| match mode.contains("allow_reentry") {
        true => mask == 0,
        false => mode.contains("strict_order") && mask & reached == 0,
    };
    let repeaters: Vec<usize> =
        (0..moment.len()).filter(|&row| moment[row] & reached != 0).collect();
    let excused = |way: &Vec<usize>| repeaters.iter().all(|row| way.contains(row));
    let repeat = mode.contains("strict_deduplication")
        && !services(moment, from, to, mode).iter().any(excused);
    repeat || moment.iter().any(stranger)
}
