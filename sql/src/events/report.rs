//! What a scan left out and why, as EXPLAIN says it.

use datafusion::common::stats::Precision;
use std::fmt;

/// What was left out and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PruningReport {
    pub(crate) pruning_off: bool,
    pub(crate) files_total: usize,
    pub(crate) files_kept: usize,
    /// Files left out by their time range.
    pub(crate) by_time: usize,
    /// Files left out by their event names, their time range would not have.
    pub(crate) by_event: usize,
    /// Files left out by several columns together.
    pub(crate) by_statistics: usize,
    /// Files left out because no wanted customer is in them.
    pub(crate) by_customers: usize,
    pub(crate) rows_total: u64,
    /// Rows that are read.
    pub(crate) rows_selected: u64,
    /// Ranges of rows in files that are not read as a whole.
    pub(crate) row_ranges: usize,
    /// How many customers the filters leave over, if they say.
    pub(crate) customers: Option<u64>,
}

impl PruningReport {
    /// How many rows are left of those of whole files.
    pub(crate) fn rows_left(&self, of_files: Precision<usize>) -> Precision<usize> {
        let selected = usize::try_from(self.rows_selected).unwrap_or(usize::MAX);
        match of_files.get_value() {
            Some(&rows) if rows <= selected => of_files,
            _ => Precision::Inexact(selected),
        }
    }
}

impl fmt::Display for PruningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pruning_off {
            return write!(f, "files={0}/{0}, pruning=off", self.files_total);
        }
        write!(f, "files={}/{}", self.files_kept, self.files_total)?;
        let reasons = [
            ("time", self.by_time),
            ("event", self.by_event),
            ("statistics", self.by_statistics),
            ("customers", self.by_customers),
        ];
        let pruned = reasons.iter().filter(|(_, files)| *files > 0);
        let pruned = pruned.map(|(reason, files)| format!("{reason} -{files}")).collect::<Vec<_>>();
        if !pruned.is_empty() {
            write!(f, " ({})", pruned.join(", "))?;
        }
        write!(f, ", rows={}/{}", self.rows_selected, self.rows_total)?;
        if self.row_ranges > 0 {
            write!(f, ", row_ranges={}", self.row_ranges)?;
        }
        match self.customers {
            Some(customers) => write!(f, ", customers={customers}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_each_reason() {
        let report = PruningReport {
            files_total: 10,
            files_kept: 3,
            by_time: 5,
            by_event: 1,
            by_customers: 1,
            rows_total: 1000,
            rows_selected: 20,
            row_ranges: 2,
            customers: Some(4),
            ..PruningReport::default()
        };
        assert_eq!(
            report.to_string(),
            "files=3/10 (time -5, event -1, customers -1), rows=20/1000, row_ranges=2, customers=4"
        );
    }
}
