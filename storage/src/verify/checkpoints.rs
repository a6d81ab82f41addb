//! Checkpoints against the log.

use super::VerifyReport;
use super::history::History;
use crate::bucket::Bucket;
use crate::error::Result;
use crate::layout;
use crate::log::{checkpoint, replay};
use crate::snapshot::Snapshot;
use std::sync::Arc;

/// Each checkpoint must be what the entries up to its version make.
pub(super) async fn check(
    bucket: &Bucket,
    history: &History,
    report: &mut VerifyReport,
) -> Result<()> {
    let mut versions = checkpoint::versions(bucket).await?;
    versions.sort_unstable();
    let mut replayed = Arc::new(Snapshot::default());
    for version in versions {
        let path = layout::checkpoint(version);
        report.objects += 1;
        if !history.attempts.contains_key(&version) {
            report.add(&path, "it belongs to no entry of the log");
            continue;
        }
        let saved = match checkpoint::read(bucket, version).await {
            Ok(Some(saved)) => saved,
            Ok(None) => {
                report.add(&path, "it was made by another attempt than the entry of its version");
                continue;
            }
            Err(error) => {
                report.add_error(&path, &error);
                continue;
            }
        };
        if history.head.is_some() {
            replayed = replay::to_version(bucket, replayed, version).await?;
            if saved != *replayed {
                report.add(&path, "it is not what the log makes");
            }
        }
    }
    Ok(())
}
