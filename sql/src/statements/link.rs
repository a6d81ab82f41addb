//! `LINK` and `UNLINK`: what a person knows about two identifiers.

use crate::error::Result;
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::words::Words;
use habitue_storage::identity::rules::LinkKind;
use habitue_storage::identity::{NamedIdentifier, Statement};

/// Who says it, kept with the link.
const SOURCE: &str = "sql";

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateLink {
    pub(super) one: NamedIdentifier,
    pub(super) other: NamedIdentifier,
    pub(super) kind: LinkKind,
    pub(super) reason: String,
}

/// ```text
/// LINK namespace 'value' TO namespace 'value' [REASON 'text'] [FORCE]
/// UNLINK namespace 'value' FROM namespace 'value' [REASON 'text']
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<StateLink>> {
    let (between, kind) = if words.take(&["LINK"]) {
        ("TO", LinkKind::Manual)
    } else if words.take(&["UNLINK"]) {
        ("FROM", LinkKind::ManualUnlink)
    } else {
        return Ok(None);
    };
    let one = identifier(words)?;
    words.expect(&[between])?;
    let other = identifier(words)?;
    let reason = match words.take(&["REASON"]) {
        true => words.text("the reason as a text in quotes")?,
        false => String::new(),
    };
    let is_forced = kind == LinkKind::Manual && words.take(&["FORCE"]);
    let kind = if is_forced { LinkKind::ManualForced } else { kind };
    Ok(Some(StateLink { one, other, kind, reason }))
}

fn identifier(words: &mut Words<'_>) -> Result<NamedIdentifier> {
    let namespace = words.name("a namespace, like email")?;
    let value = words.text("the identifier's value in quotes")?;
    Ok(NamedIdentifier::new(&namespace, &value))
}

impl StateLink {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let statement =
            Statement { kind: self.kind, reason: self.reason, source: SOURCE.to_owned() };
        let store = session.database().store();
        let stated = store.state(&self.one, &self.other, &statement).await?;
        let moved = stated.changes.moved.len();
        let outcome = match stated.are_one {
            true => "they are one customer",
            false => "they are two customers (system.links says why)",
        };
        let version = stated.snapshot.version;
        Answer::of_message(format!("{outcome}, {moved} identifiers moved, version {version}"))
    }
}
