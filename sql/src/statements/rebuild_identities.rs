//! `REBUILD IDENTITIES`: computes all customers again from the links.

use crate::error::Result;
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::words::Words;

/// A parsed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebuildIdentities {
    /// Only counts the differences, of which there should be none.
    Verify,
    /// Commits what is different.
    Commit,
}

/// ```text
/// REBUILD IDENTITIES [VERIFY]
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Option<RebuildIdentities> {
    if !words.take(&["REBUILD", "IDENTITIES"]) {
        return None;
    }
    Some(match words.take(&["VERIFY"]) {
        true => RebuildIdentities::Verify,
        false => RebuildIdentities::Commit,
    })
}

impl RebuildIdentities {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        let store = session.database().store();
        let changes = match self {
            Self::Verify => {
                let snapshot = session.snapshot().await?;
                store.verify_identities(&snapshot).await?
            }
            Self::Commit => {
                ensure_newest(session)?;
                store.rebuild_identities().await?.changes
            }
        };
        Answer::of_message(format!("{} differences", changes.moved.len()))
    }
}
