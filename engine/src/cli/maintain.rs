//! `habitue maintain`: compact data files, forget old versions, delete what nothing needs.

use crate::cli::age::parse_age;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::machine::Machine;
use crate::cli::progress::Progress;
use crate::cli::quantity::{bytes, counted};
use crate::cli::say;
use habitue::{
    CompactionDepth, Engine, GarbageMode, GarbageOptions, KeepVersions, MaintainRequest,
};
use habitue_storage::compaction::CompactionSummary;
use habitue_storage::garbage::{GRACE_DEFAULT, GarbageReport};
use std::time::Duration;

/// The arguments of `habitue maintain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without options, every partition is brought into its final order and nothing is deleted.

Examples:
  habitue maintain shop
  habitue maintain shop --expire-older-than 30d --dry-run
  habitue maintain shop --quick --keep-last 10")]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DB")]
    database: String,
    /// Merge new files, and older ones only if they are not much larger
    #[arg(long)]
    quick: bool,
    /// Forget the versions that were replaced longer ago than this, such as 30d or 12h; time
    /// travel reaches no further back
    #[arg(long, value_name = "AGE", value_parser = parse_age, conflicts_with = "keep_last")]
    expire_older_than: Option<Duration>,
    /// Forget all versions but the last N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep_last: Option<u64>,
    /// Delete objects that no version names, without forgetting any version
    #[arg(long)]
    clear_orphans: bool,
    /// Never delete what is younger than this: a running ingest may still need it [default: 24h]
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    grace: Option<Duration>,
    /// Say what would be forgotten and deleted, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Maintains the database and prints what was done.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let engine = arguments.machine.builder().open(&arguments.database).await?;
    let garbage = arguments.garbage(&engine).await?;
    if arguments.dry_run {
        let options = garbage.unwrap_or_default();
        let options = GarbageOptions { mode: GarbageMode::DryRun, ..options };
        let report = engine.store().collect_garbage(options).await?;
        return say(&collected(&report, GarbageMode::DryRun));
    }
    let progress = Progress::on_terminal("compact");
    let shown = progress.clone();
    let depth = if arguments.quick { CompactionDepth::Tiered } else { CompactionDepth::Full };
    let mut request = MaintainRequest::default()
        .depth(depth)
        .on_progress(move |progress| shown.show_compaction(progress));
    if let Some(options) = garbage {
        request = request.collect_garbage(options);
    }
    let summary = engine.maintain(request).await;
    progress.clear();
    let summary = summary?;
    let mut text = compacted(&summary.compaction);
    if let Some(report) = &summary.garbage {
        text.push_str(&collected(report, GarbageMode::Delete));
    }
    say(&text)
}

impl Arguments {
    /// What is to be collected, if anything.
    async fn garbage(&self, engine: &Engine) -> Outcome<Option<GarbageOptions>> {
        let keep = match (self.expire_older_than, self.keep_last) {
            (Some(age), _) => {
                // The store's clock, which also stamps the objects, measures ages.
                let now = engine.store().bucket().now().await?;
                let since =
                    now.checked_sub_signed(chrono::Duration::from_std(age).map_err(|_| {
                        Failure::request("--expire-older-than reaches back before all time")
                    })?);
                since.map_or(KeepVersions::All, KeepVersions::Since)
            }
            (None, Some(versions)) => KeepVersions::Last(versions),
            (None, None) if self.clear_orphans => KeepVersions::All,
            (None, None) => return Ok(None),
        };
        let grace = self.grace.unwrap_or(GRACE_DEFAULT);
        Ok(Some(GarbageOptions { keep, grace, mode: GarbageMode::Delete }))
    }
}

fn compacted(summary: &CompactionSummary) -> String {
    if summary.jobs == 0 && summary.jobs_lost == 0 {
        return "nothing to compact\n".into();
    }
    let mut text = format!(
        "compacted {} of {} into {}\n",
        counted(summary.rows, "row"),
        counted(summary.files_removed, "data file"),
        counted(summary.files_added, "data file"),
    );
    if summary.jobs_lost > 0 {
        let lost = counted(summary.jobs_lost, "job");
        text.push_str(&format!("  {lost} left for the next time: another writer was faster\n"));
    }
    if let Some(version) = summary.version {
        text.push_str(&format!("  version {version}\n"));
    }
    text
}

fn collected(report: &GarbageReport, mode: GarbageMode) -> String {
    let (forgotten, deleted) = match mode {
        GarbageMode::DryRun => ("would be forgotten", "would be deleted"),
        GarbageMode::Delete => ("forgotten", "deleted"),
    };
    let mut text = format!(
        "{} {forgotten}, the oldest readable one is {}\n{} {deleted}, {}\n",
        counted(report.versions_expired, "version"),
        report.oldest_readable,
        counted(report.deleted.len() as u64, "object"),
        bytes(report.bytes_deleted()),
    );
    if report.spared_young > 0 {
        let young = counted(report.spared_young, "object");
        text.push_str(&format!("  {young} too young to go (--grace)\n"));
    }
    text
}
