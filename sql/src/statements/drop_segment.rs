//! `DROP SEGMENT`: forgets a segment and its versions.

use crate::error::{Error, Named, Result};
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::words::Words;
use habitue_storage::catalog::Catalog;
use std::collections::BTreeSet;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DropSegment {
    pub(super) name: String,
    pub(super) missing: Missing,
    pub(super) users: Users,
}

/// What happens when there is no such segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Refuse,
    Ignore,
}

/// What happens to segments that read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// They stay, and so does the segment.
    Refuse,
    /// They go with it.
    Drop,
}

/// ```text
/// DROP SEGMENT [IF EXISTS] name [CASCADE]
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<DropSegment>> {
    if !words.take(&["DROP", "SEGMENT"]) {
        return Ok(None);
    }
    let missing = if words.take(&["IF", "EXISTS"]) { Missing::Ignore } else { Missing::Refuse };
    let name = words.name("the segment's name")?;
    let users = if words.take(&["CASCADE"]) { Users::Drop } else { Users::Refuse };
    Ok(Some(DropSegment { name, missing, users }))
}

impl DropSegment {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let store = session.database().store();
        let catalog = store.catalog(store.snapshot().await?.as_ref()).await?;
        if !catalog.segments.contains_key(&self.name) {
            return match self.missing {
                Missing::Ignore => Answer::of_message("nothing dropped"),
                Missing::Refuse => {
                    let known = catalog.segments.keys().map(String::as_str);
                    Err(Error::unknown(Named::Segment, self.name, known))
                }
            };
        }
        let names = self.names(&catalog)?;
        // A segment that came to read this one meanwhile must be seen.
        let choose = |catalog: &Catalog| {
            let refused =
                |error: Error| habitue_storage::Error::invalid("DROP SEGMENT", error.to_string());
            self.names(catalog).map_err(refused)
        };
        store.drop_segments(choose).await?;
        let names = names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
        Answer::of_message(format!("dropped {}", names.join(", ")))
    }

    /// The segments that go: this one, and with CASCADE all that read it, directly or not.
    fn names(&self, catalog: &Catalog) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::from([self.name.clone()]);
        loop {
            let used_by = catalog.segments.iter().filter(|(name, segment)| {
                !names.contains(*name) && segment.uses.iter().any(|used| names.contains(used))
            });
            let used_by = used_by.map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if used_by.is_empty() {
                return Ok(names);
            }
            if self.users == Users::Refuse {
                return Err(Error::SegmentInUse { name: self.name.clone(), used_by });
            }
            names.extend(used_by);
        }
    }
}
