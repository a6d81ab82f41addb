//! Computing all customers again: to verify them, and after a change of the rules.

use super::manual::TRIES;
use super::{IdentityChanges, Stitcher};
use crate::catalog::{Catalog, Namespace};
use crate::dictionary::ValueRules;
use crate::dictionary::run::decode_run;
use crate::error::{Error, Result};
use crate::log::action::{Action, Operation};
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::snapshot::Snapshot;
use crate::store::{self, Store};
use arrow::array::AsArray;
use std::sync::Arc;

/// What a change of the rules, or a rebuild, made.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The version that it made, or the one that it found everything right in.
    pub snapshot: Arc<Snapshot>,
    /// The identifiers whose customer is another one.
    pub changes: IdentityChanges,
}

impl Store {
    /// Computes the customers of a version again from its dictionary and links, and tells the
    /// differences to its identity map: in a sound database none.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub async fn verify_identities(&self, snapshot: &Snapshot) -> Result<IdentityChanges> {
        let catalog = self.catalog(snapshot).await?;
        let mut stitcher = Stitcher::read(self, snapshot, &catalog).await?;
        stitcher.rebuild()
    }

    /// What a change of the rules would do to the customers of a version; nothing is written.
    ///
    /// # Errors
    /// Like [`Store::change_namespaces`].
    pub async fn simulate_namespaces(
        &self,
        snapshot: &Snapshot,
        edit: impl Fn(&mut Vec<Namespace>) -> Result<()> + Send + Sync,
    ) -> Result<IdentityChanges> {
        let (_, after) = self.edited_catalog(snapshot, &edit).await?;
        let mut stitcher = Stitcher::read(self, snapshot, &after).await?;
        stitcher.rebuild()
    }

    /// Computes all customers again and commits what is different.
    ///
    /// # Errors
    /// When a file is missing or damaged; [`Error::Conflict`] when others commit all the time.
    pub async fn rebuild_identities(&self) -> Result<Rebuilt> {
        self.change_namespaces(|_| Ok(())).await
    }

    /// Changes the rules of namespaces, or adds namespaces, and computes all customers again by
    /// the new rules, in one commit. `edit` sees the newest namespaces, and sees them again when
    /// another writer was faster.
    ///
    /// What decides which identifier is an event's own cannot change while there are events: the
    /// order of the tiers, how values are normalised, and which values are blocked, as far as any
    /// are there.
    ///
    /// # Errors
    /// What `edit` says; [`Error::Invalid`] for such a change, and when namespaces are removed,
    /// renamed or moved, or a rule makes no sense; [`Error::Conflict`] when others commit all the
    /// time.
    pub async fn change_namespaces(
        &self,
        edit: impl Fn(&mut Vec<Namespace>) -> Result<()> + Send + Sync,
    ) -> Result<Rebuilt> {
        let mut snapshot = self.snapshot().await?;
        for _ in 0..TRIES {
            let (before, after) = self.edited_catalog(&snapshot, &edit).await?;
            let mut stitcher = Stitcher::read(self, &snapshot, &after).await?;
            let changes = stitcher.rebuild()?;
            let mut actions = stitcher.write(self, &changes).await?;
            let mut operation = Operation::ChangeIdentities;
            if after != *before {
                operation = Operation::ChangeCatalog;
                let object = store::write_catalog(self.bucket(), &after).await?;
                actions.push(Action::SetCatalog(object));
            }
            if actions.is_empty() {
                return Ok(Rebuilt { snapshot, changes });
            }
            let based_on = Arc::clone(&snapshot);
            let draft = DraftCommit { based_on, operation, events_added: 0, actions };
            match self.commit(draft).await? {
                CommitOutcome::Committed(snapshot) => return Ok(Rebuilt { snapshot, changes }),
                CommitOutcome::Conflict { snapshot: newest, .. } => snapshot = newest,
            }
        }
        let version = snapshot.version;
        Err(Error::Conflict { based_on: version, version })
    }

    /// The catalog of a version before and after an edit of its namespaces that is allowed.
    async fn edited_catalog(
        &self,
        snapshot: &Snapshot,
        edit: &(impl Fn(&mut Vec<Namespace>) -> Result<()> + Send + Sync),
    ) -> Result<(Arc<Catalog>, Catalog)> {
        let before = self.catalog(snapshot).await?;
        let mut after = Catalog::clone(&before);
        edit(&mut after.namespaces)?;
        store::ensure_namespaces_stay(&before, &after)?;
        if after != *before {
            check_rules(&after)?;
            self.check_own_identifiers_stay(snapshot, &before, &after).await?;
        }
        Ok((before, after))
    }

    /// Refuses a change by which an event would get another own identifier.
    async fn check_own_identifiers_stay(
        &self,
        snapshot: &Snapshot,
        before: &Catalog,
        after: &Catalog,
    ) -> Result<()> {
        if snapshot.identifiers() == 0 {
            return Ok(());
        }
        let old = before.namespaces.len();
        if strongest_first(&before.namespaces) != strongest_first(&after.namespaces[..old]) {
            return Err(refused("the order of the tiers", &after.namespaces[0].name));
        }
        for (before, after) in before.namespaces.iter().zip(&after.namespaces) {
            if before.normalise != after.normalise {
                return Err(refused("how values are normalised", &before.name));
            }
            if before.blocked.iter().any(|value| !after.blocked.contains(value)) {
                return Err(refused("a blocked value to one that connects", &before.name));
            }
            if before.blocked != after.blocked {
                self.check_no_value_is_newly_blocked(snapshot, after).await?;
            }
        }
        Ok(())
    }

    async fn check_no_value_is_newly_blocked(
        &self,
        snapshot: &Snapshot,
        after: &Namespace,
    ) -> Result<()> {
        let rules = ValueRules::new(after);
        for run in snapshot.dictionary_runs.values() {
            let object = self.bucket().read(&run.object).await?;
            for batch in
                decode_run(run, object, &["identifier_id", "namespace", "value", "blocked"])?
            {
                let namespaces = batch.column(1).as_string::<i32>();
                let values = batch.column(2).as_string::<i32>();
                let blocked = batch.column(3).as_boolean();
                for row in 0..batch.num_rows() {
                    let is_newly_blocked = namespaces.value(row) == after.name
                        && !blocked.value(row)
                        && rules.is_blocked(values.value(row));
                    if is_newly_blocked {
                        let what = format!(
                            "the value {:?}, which is there, to a blocked one",
                            values.value(row)
                        );
                        return Err(refused(&what, &after.name));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The places of namespaces in the order in which an event's own identifier is chosen.
fn strongest_first(namespaces: &[Namespace]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..namespaces.len()).collect();
    places.sort_by_key(|place| namespaces[*place].tier);
    places
}

fn refused(what: &str, namespace: &str) -> Error {
    let reason = format!(
        "it changes {what}, and events are there already whose own identifier depends on it. \
         namespace={namespace}"
    );
    Error::invalid("change of an identity namespace", reason)
}

/// Refuses rules that make no sense.
fn check_rules(catalog: &Catalog) -> Result<()> {
    let invalid = |namespace: &Namespace, reason: String| {
        Err(Error::invalid(format!("namespace {:?}", namespace.name), reason))
    };
    for (place, namespace) in catalog.namespaces.iter().enumerate() {
        let is_name_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let is_name = namespace.name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && namespace.name.chars().all(|letter| is_name_letter(letter) || letter == '_');
        if !is_name {
            return invalid(namespace, "a name has lower-case letters, digits and _".into());
        }
        let is_taken = crate::event::file_schema([]).index_of(&namespace.name).is_ok()
            || namespace.name == crate::event::CUSTOMER_ID
            || catalog.namespaces[..place].iter().any(|other| other.name == namespace.name);
        if is_taken {
            return invalid(namespace, "a column of events has this name already".into());
        }
        if namespace.tier == 0 || namespace.max_per_customer == Some(0) {
            return invalid(namespace, "tiers and limits begin with 1".into());
        }
        for (other, max) in &namespace.max_degree {
            if catalog.namespace_number(other).is_none() {
                return invalid(
                    namespace,
                    format!("max_degree names {other:?}, which is not there"),
                );
            }
            if *max == 0 {
                return invalid(namespace, "tiers and limits begin with 1".into());
            }
        }
    }
    Ok(())
}
