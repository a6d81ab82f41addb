//! `REFRESH SEGMENT`: computes segments anew and keeps who entered and who left.

use crate::error::{Error, Named, Result};
use crate::segments::Members;
use crate::segments::query::SegmentQuery;
use crate::segments::refresh::{Definition, Refresh};
use crate::session::{Answer, Query, Session, progress};
use crate::statements::ensure_newest;
use crate::statements::words::Words;
use crate::tables::columns::{bigints, one_batch, required, schema, texts};
use arrow::datatypes::{DataType, SchemaRef};
use habitue_storage::catalog::{Catalog, SegmentKind};
use habitue_storage::log::action::SegmentVersion;
use habitue_storage::segment::NewSegmentVersion;
use std::sync::Arc;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefreshSegments {
    /// This one, from the others as they are.
    One(String),
    /// All that follow their definition, each after those that it reads.
    All,
}

/// ```text
/// REFRESH SEGMENT name
/// REFRESH ALL SEGMENTS
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<RefreshSegments>> {
    if words.take(&["REFRESH", "ALL", "SEGMENTS"]) {
        return Ok(Some(RefreshSegments::All));
    }
    if words.take(&["REFRESH", "SEGMENT"]) {
        return Ok(Some(RefreshSegments::One(words.name("the segment's name")?)));
    }
    match words.take(&["REFRESH"]) {
        true => Err(words.expected("SEGMENT name or ALL SEGMENTS")),
        false => Ok(None),
    }
}

impl RefreshSegments {
    /// Computes everything from one snapshot and publishes it in one commit.
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let query = session.query().await?;
        let levels = self.levels(query.pinned().catalog())?;
        let names = levels.concat();
        let mut refresh = Refresh::new(&query);
        let mut computed = Vec::with_capacity(names.len());
        for level in &levels {
            progress::report(computed.len(), names.len());
            computed.extend(compute(level, &query, &mut refresh).await?);
        }
        let published = match computed.is_empty() {
            true => Vec::new(),
            false => session.database().store().publish_segments(computed).await?,
        };
        answer(self.schema(), &names, &published)
    }

    /// The columns of its answer.
    pub(super) fn schema(&self) -> SchemaRef {
        schema([
            required("name", DataType::Utf8),
            required("version", DataType::Int64),
            required("customers", DataType::Int64),
            required("entered", DataType::Int64),
            required("left", DataType::Int64),
        ])
    }

    /// The segments to compute, each in a later level than those that it reads.
    fn levels(&self, catalog: &Catalog) -> Result<Vec<Vec<String>>> {
        match self {
            Self::All => Ok(levels_of_use(catalog)),
            Self::One(name) => match catalog.segments.get(name) {
                Some(segment) if segment.kind == SegmentKind::Static => Err(Error::invalid(
                    format!("segment '{name}'"),
                    "it is static and keeps its members; CREATE OR REPLACE gives it others",
                )),
                Some(_) => Ok(vec![vec![name.clone()]]),
                None => {
                    let known = catalog.segments.keys().map(String::as_str);
                    Err(Error::unknown(Named::Segment, name, known))
                }
            },
        }
    }
}

/// All segments that follow their definition, in levels; those of one level do not read each other.
fn levels_of_use(catalog: &Catalog) -> Vec<Vec<String>> {
    let dynamic = |name: &&String| {
        catalog.segments.get(*name).is_some_and(|segment| segment.kind == SegmentKind::Dynamic)
    };
    let mut waiting = catalog.segments.keys().filter(dynamic).collect::<Vec<_>>();
    let mut levels = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |name: &&String| {
            catalog.segments[*name].uses.iter().all(|used| !waiting.contains(&used))
        };
        let mut ready = waiting.iter().copied().filter(is_ready).collect::<Vec<_>>();
        if ready.is_empty() {
            // A circle cannot be created; if one is there, each reads the version before.
            ready.clone_from(&waiting);
        }
        waiting.retain(|name| !ready.contains(name));
        levels.push(ready.into_iter().cloned().collect());
    }
    levels
}

/// Computes the segments of one level; those of later levels see their members.
async fn compute(
    level: &[String],
    query: &Query,
    refresh: &mut Refresh<'_>,
) -> Result<Vec<NewSegmentVersion>> {
    let pinned = query.pinned();
    let mut definitions = Vec::with_capacity(level.len());
    for name in level {
        let in_segment = |error| Error::InSegment { name: name.clone(), source: Box::new(error) };
        let definition = pinned.segment(name)?;
        definitions.push(Definition {
            name: name.clone(),
            query: SegmentQuery::plan(&definition.sql, query).await.map_err(in_segment)?,
            previous: pinned.segment_version(name, None).ok().cloned(),
        });
    }
    let mut versions = Vec::with_capacity(level.len());
    for (name, computed) in level.iter().zip(refresh.compute(definitions).await?) {
        let definition = pinned.segment(name)?;
        pinned.set_members(name, Arc::new(Members::new(computed.members.clone())));
        versions.push(NewSegmentVersion {
            segment_id: definition.id,
            defined_at_us: definition.defined_at_us,
            computed_at: pinned.snapshot().version,
            members: computed.members,
            computation: Some(computed.computation),
        });
    }
    Ok(versions)
}

fn answer(schema: SchemaRef, names: &[String], published: &[SegmentVersion]) -> Result<Answer> {
    let columns = vec![
        texts(names),
        bigints(published.iter().map(|version| version.number)),
        bigints(published.iter().map(|version| version.customers)),
        bigints(published.iter().map(|version| version.customers_entered)),
        bigints(published.iter().map(|version| version.customers_left)),
    ];
    Answer::of_batches(schema.clone(), one_batch(schema, columns)?)
}
