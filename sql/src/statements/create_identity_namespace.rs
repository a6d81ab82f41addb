//! `CREATE IDENTITY NAMESPACE`: a further kind of identifier, and its column in `events`.

use crate::error::{Error, Named, Result};
use crate::events::events_schema;
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::namespace_options::{self, NamespaceOption};
use crate::statements::words::Words;
use habitue_storage::catalog::{Namespace, Normalise};
use std::collections::BTreeMap;

/// The tier of a namespace whose statement names none: as weak as a device.
const TIER_DEFAULT: u8 = 3;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateIdentityNamespace {
    pub(super) name: String,
    pub(super) options: Vec<NamespaceOption>,
}

/// ```text
/// CREATE IDENTITY NAMESPACE name [(rule = value, …)]
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<CreateIdentityNamespace>> {
    if !words.take(&["CREATE", "IDENTITY", "NAMESPACE"]) {
        return Ok(None);
    }
    let name = words.name("the namespace's name")?;
    let has_options =
        words.parser().peek_token().token == datafusion::sql::sqlparser::tokenizer::Token::LParen;
    let options = if has_options { namespace_options::parse(words)? } else { Vec::new() };
    Ok(Some(CreateIdentityNamespace { name, options }))
}

impl CreateIdentityNamespace {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let store = session.database().store();
        let catalog = store.catalog(store.snapshot().await?.as_ref()).await?;
        if catalog.namespace_number(&self.name).is_some() {
            return Err(Error::Exists { named: Named::Namespace, name: self.name });
        }
        if events_schema(&catalog).index_of(&self.name).is_ok() {
            let reason = "events have a column of that name already";
            return Err(Error::invalid(format!("namespace '{}'", self.name), reason));
        }
        let mut namespace = Namespace {
            name: self.name.clone(),
            tier: TIER_DEFAULT,
            unique: false,
            max_per_customer: None,
            max_degree: BTreeMap::new(),
            normalise: vec![Normalise::Trim],
            blocked: Vec::new(),
        };
        namespace_options::apply(&mut namespace, &self.options);
        let add = |namespaces: &mut Vec<Namespace>| {
            if namespaces.iter().any(|known| known.name == namespace.name) {
                let what = format!("namespace '{}'", namespace.name);
                return Err(habitue_storage::Error::invalid(what, "it exists already"));
            }
            namespaces.push(namespace.clone());
            Ok(())
        };
        store.change_namespaces(add).await?;
        Answer::of_message(format!("identifier namespace '{}' created", self.name))
    }
}
