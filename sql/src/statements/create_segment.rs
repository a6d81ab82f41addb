//! `CREATE SEGMENT`: names a set of customers by a query, and computes its first version.

use crate::error::{Error, Named, Result};
use crate::segments::query::SegmentQuery;
use crate::segments::refresh::{Definition, Refresh};
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::words::Words;
use habitue_storage::catalog::{Catalog, SegmentDefinition, SegmentKind};
use std::collections::BTreeSet;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreateSegment {
    pub(super) name: String,
    pub(super) replace: Replace,
    pub(super) kind: SegmentKind,
    pub(super) comment: Option<String>,
    pub(super) sql: String,
}

/// What becomes of a segment with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    /// It stays, and the statement fails.
    No,
    /// It takes the new definition and keeps its number and its versions.
    Yes,
}

/// ```text
/// CREATE [OR REPLACE] [STATIC] SEGMENT name [COMMENT 'text'] AS query
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<CreateSegment>> {
    let openings: [(&[&str], Replace, SegmentKind); 4] = [
        (&["CREATE", "SEGMENT"], Replace::No, SegmentKind::Dynamic),
        (&["CREATE", "STATIC", "SEGMENT"], Replace::No, SegmentKind::Static),
        (&["CREATE", "OR", "REPLACE", "SEGMENT"], Replace::Yes, SegmentKind::Dynamic),
        (&["CREATE", "OR", "REPLACE", "STATIC", "SEGMENT"], Replace::Yes, SegmentKind::Static),
    ];
    let opening = openings.into_iter().find(|(opening, _, _)| words.take(opening));
    let Some((_, replace, kind)) = opening else {
        return Ok(None);
    };
    let name = words.name("the segment's name")?;
    let comment = match words.take(&["COMMENT"]) {
        true => Some(words.text("the comment as a text in quotes")?),
        false => None,
    };
    words.expect(&["AS"])?;
    let sql = words.query_text()?;
    Ok(Some(CreateSegment { name, replace, kind, comment, sql }))
}

impl CreateSegment {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let store = session.database().store();
        let query = session.query().await?;
        self.ensure_free(query.pinned().catalog())?;
        let planned = SegmentQuery::plan(&self.sql, &query).await?;
        let uses = planned.uses.clone();
        ensure_no_circle(&self.name, &uses, query.pinned().catalog())?;
        let definition = Definition { name: self.name.clone(), query: planned, previous: None };
        let computed = Refresh::new(&query).compute_one(definition).await?;
        let customers = computed.members.len();
        let defined_at_us = store.bucket().local_now().timestamp_micros();
        let edit = |catalog: &mut Catalog| {
            // Another session may have been faster.
            self.ensure_free(catalog).map_err(|error| refused(&error))?;
            ensure_no_circle(&self.name, &uses, catalog).map_err(|error| refused(&error))?;
            self.define(catalog, &uses, defined_at_us);
            Ok(())
        };
        let computed_at = query.pinned().snapshot().version;
        let version = store
            .define_segment(
                &self.name,
                edit,
                computed_at,
                computed.members,
                Some(computed.computation),
            )
            .await?;
        let (name, number) = (&self.name, version.number);
        Answer::of_message(format!("segment '{name}' version {number}: {customers} customers"))
    }

    fn ensure_free(&self, catalog: &Catalog) -> Result<()> {
        if self.replace == Replace::No && catalog.segments.contains_key(&self.name) {
            return Err(Error::Exists { named: Named::Segment, name: self.name.clone() });
        }
        Ok(())
    }

    fn define(&self, catalog: &mut Catalog, uses: &[String], defined_at_us: i64) {
        let known = catalog.segments.get(&self.name).map(|segment| segment.id);
        let id = known.unwrap_or(catalog.next_segment_id);
        if known.is_none() {
            catalog.next_segment_id += 1;
        }
        let definition = SegmentDefinition {
            id,
            sql: self.sql.clone(),
            comment: self.comment.clone(),
            kind: self.kind,
            uses: uses.to_vec(),
            defined_at_us,
        };
        catalog.segments.insert(self.name.clone(), definition);
    }

    /// The text of its query.
    pub(super) fn query_sql(&self) -> &str {
        &self.sql
    }
}

/// What the newest catalog says against it, in the store's words.
fn refused(error: &Error) -> habitue_storage::Error {
    habitue_storage::Error::invalid("CREATE SEGMENT", error.to_string())
}

/// A segment may not read itself, not through others either.
fn ensure_no_circle(name: &str, uses: &[String], catalog: &Catalog) -> Result<()> {
    let mut reached = BTreeSet::new();
    let mut waiting = uses.to_vec();
    while let Some(used) = waiting.pop() {
        if used == name {
            let through = uses.to_vec();
            return Err(Error::SegmentCircle { name: name.to_owned(), through });
        }
        if reached.insert(used.clone())
            && let Some(segment) = catalog.segments.get(&used)
        {
            waiting.extend(segment.uses.iter().cloned());
        }
    }
    Ok(())
}
