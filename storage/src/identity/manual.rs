//! What people say about identifiers: these two are one, these two are not.

use super::rules::{Link, LinkKind};
use super::stitcher::StatedLink;
use super::{IdentityChanges, Stitcher};
use crate::error::{Error, Result};
use crate::log::action::Operation;
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::snapshot::Snapshot;
use crate::store::Store;
use std::sync::Arc;

/// So often a statement is tried again when others commit in between.
pub(super) const TRIES: u32 = 100;

/// An identifier as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIdentifier {
    /// The namespace's name.
    pub namespace: String,
    /// The value; it is normalised like those of events.
    pub value: String,
}

impl NamedIdentifier {
    /// The identifier of this namespace and value.
    pub fn new(namespace: &str, value: &str) -> Self {
        Self { namespace: namespace.into(), value: value.into() }
    }
}

/// What a person says about two identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// [`LinkKind::Manual`], [`LinkKind::ManualForced`] or [`LinkKind::ManualUnlink`].
    pub kind: LinkKind,
    /// Why; kept with the link.
    pub reason: String,
    /// Who says it; kept with the link.
    pub source: String,
}

/// What a statement did.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The version that it made.
    pub snapshot: Arc<Snapshot>,
    /// Who is another customer by it. Nobody, when a limit stands against the link: its status in
    /// [`Store::link_batches`] says which.
    pub changes: IdentityChanges,
    /// Whether both identifiers are one customer after it.
    pub are_one: bool,
}

impl Store {
    /// Links two identifiers, or separates them for good: of two statements about a pair the later
    /// one counts. All customers are computed again, so the cost is that of a rebuild.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an identifier is not known, is blocked, or is linked with itself;
    /// [`Error::Conflict`] when others commit all the time.
    pub async fn state(
        &self,
        one: &NamedIdentifier,
        other: &NamedIdentifier,
        statement: &Statement,
    ) -> Result<Stated> {
        if !statement.kind.is_manual() {
            return Err(Error::invalid("link", "its kind is none that a person can state"));
        }
        let mut snapshot = self.snapshot().await?;
        for _ in 0..TRIES {
            let now_us = self.bucket().local_now().timestamp_micros();
            let mut stitcher = Stitcher::load(self, &snapshot).await?;
            let pair = (stitcher.known(one)?, stitcher.known(other)?);
            if pair.0 == pair.1 {
                return Err(Error::invalid("link", "both identifiers are the same"));
            }
            stitcher.add_statement(pair, statement, now_us);
            let changes = stitcher.rebuild()?;
            let draft = DraftCommit {
                based_on: Arc::clone(&snapshot),
                operation: Operation::ChangeIdentities,
                events_added: 0,
                actions: stitcher.write(self, &changes).await?,
            };
            match self.commit(draft).await? {
                CommitOutcome::Committed(snapshot) => {
                    let customers = stitcher.customers();
                    let are_one = customers[pair.0 as usize] == customers[pair.1 as usize];
                    stitcher.park(self, &snapshot);
                    return Ok(Stated { snapshot, changes, are_one });
                }
                CommitOutcome::Conflict { snapshot: newest, .. } => snapshot = newest,
            }
        }
        let version = snapshot.version;
        Err(Error::Conflict { based_on: version, version })
    }
}

impl Stitcher {
    /// The number of an identifier that a person named.
    fn known(&self, named: &NamedIdentifier) -> Result<u32> {
        let spaces = &self.namespace_names;
        let number = spaces.iter().position(|name| *name == named.namespace).ok_or_else(|| {
            let known = spaces.join(", ");
            let name = &named.namespace;
            Error::invalid("namespace", format!("there is no {name:?}, there are {known}"))
        })?;
        let rules = &self.values[number];
        let refused = |why: &str| {
            let value = &named.value;
            Error::invalid("identifier", format!("{} {value:?} {why}", named.namespace))
        };
        let normalised = rules.normalise(&named.value).ok_or_else(|| refused("has no value"))?;
        if rules.is_blocked(&normalised) {
            return Err(refused("has a value that never connects anyone"));
        }
        let hash = crate::dictionary::identifier_hash(number as u16, &normalised);
        self.find_hash(hash).ok_or_else(|| refused("came with no event yet"))
    }

    /// Adds a statement that is later than all about the same pair.
    fn add_statement(&mut self, pair: (u32, u32), statement: &Statement, now_us: i64) {
        let (a, b) = (pair.0.min(pair.1), pair.0.max(pair.1));
        let mut stated = std::mem::take(&mut self.stated);
        let about_pair = stated.iter().filter(|stated| stated.link.pair() == (a, b));
        let latest = about_pair.map(|stated| stated.link.valid_from_us).max();
        let valid_from_us = latest.map_or(now_us, |latest| now_us.max(latest.saturating_add(1)));
        stated.push(StatedLink {
            link: Link { a, b, kind: statement.kind, valid_from_us },
            source: statement.source.clone(),
            reason: statement.reason.clone(),
            weight: 1.0,
            is_stored: false,
        });
        self.set_stated(stated);
    }
}
