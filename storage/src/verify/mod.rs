//! Reading everything back: is what lies in the bucket what was written?
//!
//! Every entry of the log, every checkpoint, and every object that a readable version names is
//! read whole; then what they say of each other is compared. A problem never stops the search for
//! the next one.

mod checkpoints;
mod history;
mod object;
mod references;

use crate::bucket::{Bucket, ListedObject};
use crate::error::{Error, Result};
use crate::layout;
use crate::store::Store;
use futures::{StreamExt, stream};
use history::History;
use std::collections::BTreeMap;

/// So many objects are read at once.
const OBJECTS_AT_ONCE: usize = 4;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The object.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The oldest version that was checked.
    pub oldest_version: u64,
    /// The newest version that was checked.
    pub newest_version: u64,
    /// How many objects were read.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is wrong, by path.
    pub problems: Vec<Problem>,
    /// Objects that no readable version names: left by writers that stopped half way or by expired
    /// versions. No problem; garbage collection deletes them when they are old enough.
    pub orphans: Vec<ListedObject>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, path: &str, what: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), what: what.into() });
    }

    /// Notes an error as a problem of this object, without saying its path twice.
    fn add_error(&mut self, path: &str, error: &Error) {
        let what = match error {
            Error::Missing { .. } => "object is missing".to_owned(),
            Error::Corrupt { reason, .. } => reason.clone(),
            other => in_full(other),
        };
        self.add(path, what);
    }
}

impl Store {
    /// Reads everything back, see the [module](self).
    ///
    /// # Errors
    /// Only when the bucket cannot be listed; everything else stands in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        verify(self.bucket()).await
    }
}

/// Like [`Store::verify`], also for a database that is too damaged to be opened.
///
/// # Errors
/// [`Error::NotADatabase`], or when the bucket cannot be listed.
pub async fn verify(bucket: &Bucket) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let history = History::read(bucket, &mut report).await?;
    checkpoints::check(bucket, &history, &mut report).await?;
    check_objects(bucket, &history, &mut report).await;
    references::check(bucket, &history, &mut report).await;
    find_orphans(bucket, &history, &mut report).await?;
    report.problems.sort_unstable();
    report.problems.dedup();
    Ok(report)
}

async fn check_objects(bucket: &Bucket, history: &History, report: &mut VerifyReport) {
    let mut checks = stream::iter(history.roles())
        .map(|(object, role)| async move {
            let outcome = object::check(bucket, &object, &role).await;
            (object, outcome)
        })
        .buffer_unordered(OBJECTS_AT_ONCE);
    let mut read = BTreeMap::new();
    while let Some((object, outcome)) = checks.next().await {
        read.insert(object.path.clone(), object.bytes);
        if let Err(error) = outcome {
            report.add_error(&object.path, &error);
        }
    }
    report.objects += read.len() as u64;
    report.bytes += read.values().sum::<u64>();
}

async fn find_orphans(bucket: &Bucket, history: &History, report: &mut VerifyReport) -> Result<()> {
    for folder in layout::COLLECTED {
        let mut listing = bucket.list(folder);
        while let Some(object) = listing.next().await.transpose()? {
            if !history.names(&object.path) {
                report.orphans.push(object);
            }
        }
    }
    report.orphans.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    Ok(())
}

/// An error with all its causes.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
