//! Members of `properties` that have columns of their own in a compacted file.
//!
//! A text like `{"country":"AT","n":34}` costs most of a file's bytes, and to find one member the
//! whole text must be read. So the members that many rows have become columns, each compressed
//! beside its like:
//!
//! | column | holds | the text had |
//! |---|---|---|
//! | `properties->>'country'` | `AT` | a string without escapes |
//! | `properties->'n'` | `34` | any other JSON value, as it was written |
//! | `properties` | nothing | for rows that the columns hold |
//!
//! The text is put together again from the columns in their order, byte by byte as it was. A row
//! whose text would come out otherwise (other members, another order, other spaces) keeps it whole
//! in `properties` and has nothing in the columns.

mod choose;
mod join;
mod object;
mod split;

pub(crate) use split::Split;

use crate::event::PROPERTIES;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;

/// In the metadata of a file's schema: how its texts are spaced.
const SPACING_KEY: &str = "habitue.properties";

/// How the words of a text are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// `{"a":1,"b":2}`
    Compact,
    /// `{"a": 1, "b": 2}`
    Spaced,
}

impl Spacing {
    const ALL: [Self; 2] = [Self::Compact, Self::Spaced];

    fn word(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Spaced => "spaced",
        }
    }

    /// Between a name and its value.
    fn colon(self) -> &'static str {
        match self {
            Self::Compact => ":",
            Self::Spaced => ": ",
        }
    }

    /// Between two members.
    fn comma(self) -> &'static str {
        match self {
            Self::Compact => ",",
            Self::Spaced => ", ",
        }
    }
}

/// What a column of members holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// The text of strings that need no escapes.
    Text,
    /// Any value as JSON.
    Json,
}

/// A member with a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    name: String,
    kind: MemberKind,
    /// What stands before its value, its own quote included.
    front: String,
}

impl Member {
    fn new(name: String, kind: MemberKind, spacing: Spacing) -> Self {
        let quote = match kind {
            MemberKind::Text => "\"",
            MemberKind::Json => "",
        };
        let front = format!("\"{name}\"{}{quote}", spacing.colon());
        Self { name, kind, front }
    }

    /// The name in the JSON text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its column holds.
    pub fn kind(&self) -> MemberKind {
        self.kind
    }

    /// The name of its column.
    pub fn column(&self) -> String {
        match self.kind {
            MemberKind::Text => text_column(&self.name),
            MemberKind::Json => format!("{JSON_PREFIX}{}{SUFFIX}", self.name),
        }
    }

    /// What stands behind its value.
    fn back(&self) -> &'static str {
        match self.kind {
            MemberKind::Text => "\"",
            MemberKind::Json => "",
        }
    }
}

const TEXT_PREFIX: &str = "properties->>'";
const JSON_PREFIX: &str = "properties->'";
const SUFFIX: &str = "'";

/// The column of a member's text. No other column has a name like this.
///
/// ```
/// use habitue_storage::data_file::{member_of_text_column, text_column};
/// assert_eq!(text_column("country"), "properties->>'country'");
/// assert_eq!(member_of_text_column("properties->>'country'"), Some("country"));
/// ```
pub fn text_column(name: &str) -> String {
    format!("{TEXT_PREFIX}{name}{SUFFIX}")
}

/// The member whose text a column holds.
pub fn member_of_text_column(column: &str) -> Option<&str> {
    column.strip_prefix(TEXT_PREFIX)?.strip_suffix(SUFFIX)
}

/// Whether a column of a data file holds members of `properties`.
pub(crate) fn is_member_column(column: &str) -> bool {
    kind_and_name(column).is_some()
}

fn kind_and_name(column: &str) -> Option<(MemberKind, &str)> {
    match member_of_text_column(column) {
        Some(name) => Some((MemberKind::Text, name)),
        None => {
            let name = column.strip_prefix(JSON_PREFIX)?.strip_suffix(SUFFIX)?;
            Some((MemberKind::Json, name))
        }
    }
}

/// The members that have columns in one data file, in their order in the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Members {
    spacing: Spacing,
    members: Vec<Member>,
}

impl Members {
    /// Those of a file with this schema; `None` when it has no such columns.
    pub fn of(schema: &Schema) -> Option<Self> {
        let spaced = schema.metadata().get(SPACING_KEY);
        let is_spaced = spaced.is_some_and(|word| word == Spacing::Spaced.word());
        let spacing = if is_spaced { Spacing::Spaced } else { Spacing::Compact };
        let fields = schema.fields().iter();
        let members = fields.filter_map(|field| {
            let (kind, name) = kind_and_name(field.name())?;
            Some(Member::new(name.to_owned(), kind, spacing))
        });
        let members = members.collect::<Vec<_>>();
        (!members.is_empty()).then_some(Self { spacing, members })
    }

    /// In the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The columns of a file with these members besides its own.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> {
        self.members.iter().map(|member| Field::new(member.column(), DataType::Utf8, true))
    }

    /// What the metadata of a file says of them, as key and value.
    pub(crate) fn metadata(&self) -> (String, String) {
        (SPACING_KEY.to_owned(), self.spacing.word().to_owned())
    }
}

/// The columns of these rows, with other texts for `properties`.
pub(super) fn with_texts<'a>(
    rows: &'a RecordBatch,
    texts: &'a ArrayRef,
) -> impl Iterator<Item = ArrayRef> + 'a {
    let columns = rows.schema_ref().fields().iter().zip(rows.columns());
    columns.map(move |(field, column)| match field.name() == PROPERTIES {
        true => Arc::clone(texts),
        false => Arc::clone(column),
    })
}

#[cfg(test)]
mod tests;
