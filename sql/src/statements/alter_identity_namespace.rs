//! `ALTER IDENTITY NAMESPACE`: other rules for a kind of identifier, by which all customers are
//! computed again.

use crate::error::{Error, Named, Result};
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::namespace_options::{self, NamespaceOption};
use crate::statements::words::Words;
use habitue_storage::catalog::Namespace;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlterIdentityNamespace {
    pub(super) name: String,
    pub(super) options: Vec<NamespaceOption>,
    pub(super) effect: Effect,
}

/// Whether the rules change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Commit,
    /// Only says what would become of the customers.
    DryRun,
}

/// ```text
/// ALTER IDENTITY NAMESPACE name SET (rule = value, …) [DRY RUN]
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<AlterIdentityNamespace>> {
    if !words.take(&["ALTER", "IDENTITY", "NAMESPACE"]) {
        return Ok(None);
    }
    let name = words.name("the namespace's name")?;
    words.expect(&["SET"])?;
    let options = namespace_options::parse(words)?;
    let effect = if words.take(&["DRY", "RUN"]) { Effect::DryRun } else { Effect::Commit };
    Ok(Some(AlterIdentityNamespace { name, options, effect }))
}

impl AlterIdentityNamespace {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let store = session.database().store();
        let snapshot = store.snapshot().await?;
        let catalog = store.catalog(&snapshot).await?;
        if catalog.namespace_number(&self.name).is_none() {
            let known = catalog.namespaces.iter().map(|namespace| namespace.name.as_str());
            return Err(Error::unknown(Named::Namespace, self.name, known));
        }
        let edit = |namespaces: &mut Vec<Namespace>| {
            let mut named = namespaces.iter_mut();
            if let Some(namespace) = named.find(|namespace| namespace.name == self.name) {
                namespace_options::apply(namespace, &self.options);
            }
            Ok(())
        };
        let (changes, verb) = match self.effect {
            Effect::DryRun => (store.simulate_namespaces(&snapshot, edit).await?, "would move"),
            Effect::Commit => (store.change_namespaces(edit).await?.changes, "moved"),
        };
        let (moved, more) = (changes.moved.len(), changes.customers_new);
        Answer::of_message(format!("{moved} identifiers {verb}, customers {more:+}"))
    }
}
