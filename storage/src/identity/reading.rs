//! Reading identities of one version: the map, the dictionary, identifiers and links with states.

use super::IdentityMap;
use super::link_file::{self, Details, LinkRow, read_links};
use super::map_file::{self, MapFile};
use super::rules::{self, IdentifierFacts, Link, LinkKind, Outcome, Resolution, Rules};
use crate::catalog::Catalog;
use crate::dictionary::run::{self, decode_run};
use crate::dictionary::{Dictionary, Layer};
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use std::collections::HashMap;
use std::sync::Arc;

impl Store {
    /// Which customer each identifier belongs to at a version.
    ///
    /// # Errors
    /// When a file of the map is missing or damaged.
    pub async fn identity_map(&self, snapshot: &Snapshot) -> Result<Arc<IdentityMap>> {
        if let Some(map) = self.identities().map(snapshot) {
            return Ok(map);
        }
        let reference = &snapshot.identity_map;
        let before = self.identities().map_before(snapshot);
        let (mut customers, deltas_known) = match (&before, &reference.base) {
            (Some((map, deltas)), _) => (map.as_slice().to_vec(), *deltas),
            (None, None) => (Vec::new(), 0),
            (None, Some(base)) => {
                let payload = self.bucket().read_framed(FrameKind::IdentityMap, base).await?;
                match map_file::decode(&base.path, &payload, reference.identifiers)? {
                    MapFile::Base(customers) => (customers, 0),
                    MapFile::Delta { .. } => {
                        return Err(Error::corrupt(&base.path, "it is a delta, wanted a base"));
                    }
                }
            }
        };
        for delta in &reference.deltas[deltas_known..] {
            let payload = self.bucket().read_framed(FrameKind::IdentityMap, delta).await?;
            match map_file::decode(&delta.path, &payload, reference.identifiers)? {
                MapFile::Delta { identifiers, moved } => apply(&mut customers, identifiers, &moved),
                MapFile::Base(_) => {
                    return Err(Error::corrupt(&delta.path, "it is a base, wanted a delta"));
                }
            }
        }
        apply(&mut customers, reference.identifiers, &[]);
        let mut map = IdentityMap::new(customers)?;
        if let Some((before, _)) = before {
            map = map.following(&before);
        }
        let map = Arc::new(map);
        self.identities().put_map(snapshot, &map);
        Ok(map)
    }

    /// The numbers of all identifiers of a version.
    ///
    /// # Errors
    /// When a run is missing or damaged.
    pub async fn dictionary(&self, snapshot: &Snapshot) -> Result<Arc<Dictionary>> {
        let mut dictionary = self.identities().dictionary();
        let wanted = snapshot.identifiers();
        if dictionary.len() < wanted {
            let known = dictionary.len();
            let mut hashes = Vec::with_capacity((wanted - known) as usize);
            for run in snapshot.dictionary_runs.values() {
                if run.first_id + run.count <= known {
                    continue;
                }
                let object = self.bucket().read(&run.object).await?;
                let batches = decode_run(run, object, &["identifier_id", "hash"])?;
                let mut skipped = known.saturating_sub(run.first_id) as usize;
                for batch in &batches {
                    let own = skipped.min(batch.num_rows());
                    skipped -= own;
                    hashes.extend(run::hashes_of(&batch.slice(own, batch.num_rows() - own)));
                }
            }
            dictionary.append(Layer::from_hashes(known, hashes));
            self.identities().put_dictionary(&dictionary);
        }
        Ok(Arc::new(dictionary.when_it_had(wanted)))
    }

    /// All identifiers of a version: `identifier_id, namespace, value, first_seen, state`. The
    /// state is `live`, `shared` (linked to too many, it connects nobody) or `blocked`.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub async fn identifier_batches(&self, snapshot: &Snapshot) -> Result<Vec<RecordBatch>> {
        let catalog = self.catalog(snapshot).await?;
        let shared = match Rules::new(&catalog).degree_targets().is_empty() {
            true => Vec::new(),
            false => self.resolve_links(snapshot, &catalog).await?.1.shared,
        };
        let mut batches = Vec::new();
        for run in snapshot.dictionary_runs.values() {
            let object = self.bucket().read(&run.object).await?;
            let columns = ["identifier_id", "namespace", "value", "first_seen", "blocked"];
            for batch in decode_run(run, object, &columns)? {
                batches.push(with_state(&batch, &shared)?);
            }
        }
        Ok(batches)
    }

    /// All links of a version, each pair and kind once, with the earliest time:
    /// `identifier_a, identifier_b, kind, valid_from, source, evidence, weight, status, reason`.
    /// The status is `accepted`, `rejected` or `shared`; it is computed from all links.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub async fn link_batches(&self, snapshot: &Snapshot) -> Result<Vec<RecordBatch>> {
        let catalog = self.catalog(snapshot).await?;
        let (links, resolution) = self.resolve_links(snapshot, &catalog).await?;
        let schema = links_with_status_schema();
        let rows: Vec<usize> = (0..links.len()).collect();
        let chunks = rows.chunks(BATCH_ROWS).map(|rows| {
            let chosen: Vec<LinkRow> = rows.iter().map(|row| links[*row].clone()).collect();
            let outcomes = rows.iter().map(|row| resolution.outcomes[*row]);
            with_status(&schema, &chosen, outcomes, &catalog)
        });
        chunks.collect()
    }

    /// Reads all links and applies the rules to all of them.
    async fn resolve_links(
        &self,
        snapshot: &Snapshot,
        catalog: &Catalog,
    ) -> Result<(Vec<LinkRow>, Resolution)> {
        let facts = self.identifier_facts(snapshot, catalog).await?;
        let mut links: Vec<LinkRow> = Vec::new();
        let mut observed: HashMap<(u32, u32), usize> = HashMap::new();
        self.read_all_links(snapshot, |link, details| {
            let row = LinkRow {
                link,
                source: details.source.into(),
                evidence: details.evidence.into(),
                weight: details.weight,
            };
            let known = match link.kind {
                LinkKind::Observed => *observed.entry(link.pair()).or_insert(links.len()),
                _ => links.len(),
            };
            match links.get_mut(known) {
                None => links.push(row),
                Some(known) if link.valid_from_us < known.link.valid_from_us => *known = row,
                Some(_) => {}
            }
            Ok(())
        })
        .await?;
        let bare: Vec<Link> = links.iter().map(|row| row.link).collect();
        let resolution = rules::resolve(&facts, &bare, &Rules::new(catalog));
        Ok((links, resolution))
    }

    /// What the rules look at in each identifier.
    pub(crate) async fn identifier_facts(
        &self,
        snapshot: &Snapshot,
        catalog: &Catalog,
    ) -> Result<Vec<IdentifierFacts>> {
        let mut facts = Vec::with_capacity(snapshot.identifiers() as usize);
        for run in snapshot.dictionary_runs.values() {
            let object = self.bucket().read(&run.object).await?;
            let columns = ["identifier_id", "hash", "namespace", "blocked"];
            for batch in decode_run(run, object, &columns)? {
                run::facts_of(&run.object.path, &batch, catalog, &mut facts)?;
            }
        }
        Ok(facts)
    }

    /// Hands all links of a version to `take`.
    pub(crate) async fn read_all_links(
        &self,
        snapshot: &Snapshot,
        mut take: impl FnMut(Link, Details<'_>) -> Result<()>,
    ) -> Result<()> {
        for file in snapshot.link_files.values() {
            let object = self.bucket().read(&file.object).await?;
            read_links(&file.object.path, object, snapshot.identifiers(), &mut take)?;
        }
        Ok(())
    }
}

const BATCH_ROWS: usize = 65_536;

/// Fills a map up with customers of their own, then moves some.
fn apply(customers: &mut Vec<u32>, identifiers: u32, moved: &[(u32, u32)]) {
    let start = customers.len() as u32;
    customers.extend(start..identifiers);
    for &(identifier, customer) in moved {
        customers[identifier as usize] = customer;
    }
}

/// The columns of [`Store::identifier_batches`].
pub fn identifiers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("identifier_id", DataType::UInt32, false),
        Field::new("namespace", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, false),
        Field::new("first_seen", crate::event::timestamp_type(), false),
        Field::new("state", DataType::Utf8, false),
    ]))
}

/// The columns of [`Store::link_batches`].
pub fn links_with_status_schema() -> SchemaRef {
    let stored = link_file::link_schema();
    let mut fields: Vec<Field> = stored.fields().iter().map(|field| (**field).clone()).collect();
    fields.push(Field::new("status", DataType::Utf8, false));
    fields.push(Field::new("reason", DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

fn arrow_failed(source: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: "showing identities".into(), source: Arc::new(source) }
}

fn with_state(batch: &RecordBatch, shared: &[u32]) -> Result<RecordBatch> {
    let ids = batch.column(0).as_primitive::<UInt32Type>();
    let blocked: &BooleanArray = batch.column(4).as_boolean();
    let states = ids.values().iter().zip(blocked.values()).map(|(id, is_blocked)| {
        match (is_blocked, shared.binary_search(id)) {
            (true, _) => "blocked",
            (false, Ok(_)) => "shared",
            (false, Err(_)) => "live",
        }
    });
    let mut columns = batch.columns()[..4].to_vec();
    columns.push(Arc::new(StringArray::from_iter_values(states)));
    RecordBatch::try_new(identifiers_schema(), columns).map_err(arrow_failed)
}

fn with_status(
    schema: &SchemaRef,
    links: &[LinkRow],
    outcomes: impl Iterator<Item = Outcome>,
    catalog: &Catalog,
) -> Result<RecordBatch> {
    let said: Vec<(&str, Option<String>)> =
        outcomes.map(|outcome| status_of(outcome, catalog)).collect();
    let mut columns = link_file::rows(links)?.columns().to_vec();
    let statuses = StringArray::from_iter_values(said.iter().map(|(status, _)| status));
    let reasons: StringArray = said.iter().map(|(_, reason)| reason.as_deref()).collect();
    columns.push(Arc::new(statuses));
    columns.push(Arc::new(reasons));
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(arrow_failed)
}

/// An outcome in words: its status, and why.
fn status_of(outcome: Outcome, catalog: &Catalog) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Accepted => ("accepted", None),
        Outcome::Shared { identifier } => {
            ("shared", Some(format!("identifier {identifier} is linked to more than it may be")))
        }
        Outcome::Blocked { identifier } => {
            ("rejected", Some(format!("the value of identifier {identifier} is blocked")))
        }
        Outcome::LimitBroken { limited } => {
            let namespace = catalog.namespaces.get(usize::from(limited.namespace));
            let name = namespace.map_or("?", |namespace| namespace.name.as_str());
            let max = limited.max;
            ("rejected", Some(format!("a customer would hold more than {max} of {name}")))
        }
        Outcome::Separated => ("rejected", Some("a person separated them".into())),
        Outcome::Superseded => {
            ("rejected", Some("a later statement about the same pair counts".into()))
        }
    }
}
