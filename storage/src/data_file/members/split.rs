//! Texts are taken apart into columns.

use super::object::end_of_value;
use super::{Member, MemberKind, Members};
use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use std::ops::Range;
use std::sync::Arc;

/// The columns of some texts.
pub(crate) struct Split {
    /// Texts that no columns hold.
    pub(crate) whole: ArrayRef,
    /// One for each member, in their order.
    pub(crate) columns: Vec<ArrayRef>,
}

impl Members {
    /// Takes texts apart.
    pub(crate) fn split(&self, texts: &StringArray) -> Split {
        let mut whole = StringBuilder::new();
        let columns = self.members.iter().map(|_| StringBuilder::with_capacity(texts.len(), 0));
        let mut columns = columns.collect::<Vec<_>>();
        let mut found = vec![None; self.members.len()];
        for text in texts {
            let split = text.filter(|text| self.find(text, &mut found));
            match split {
                Some(text) => {
                    whole.append_null();
                    for (column, range) in columns.iter_mut().zip(&found) {
                        column.append_option(range.clone().map(|range| &text[range]));
                    }
                }
                None => {
                    whole.append_option(text);
                    columns.iter_mut().for_each(StringBuilder::append_null);
                }
            }
        }
        let finished = |mut column: StringBuilder| Arc::new(column.finish()) as ArrayRef;
        Split { whole: finished(whole), columns: columns.into_iter().map(finished).collect() }
    }

    /// Whether the columns can hold a text.
    pub(super) fn can_split(&self, text: &str) -> bool {
        self.find(text, &mut vec![None; self.members.len()])
    }

    /// Finds the value of each member in a text; false when the text is not made of these members
    /// alone, in this order and spacing, each at most once.
    fn find(&self, text: &str, found: &mut [Option<Range<usize>>]) -> bool {
        found.fill(None);
        if !text.starts_with('{') {
            return false;
        }
        let comma = self.spacing.comma();
        let (mut at, mut next) = (1, 0);
        let mut before: Option<&str> = None;
        loop {
            let behind = self.members[next..]
                .iter()
                .enumerate()
                .find_map(|(offset, member)| Some((next + offset, value_at(member, text, at)?)));
            let Some((place, value)) = behind else {
                return false;
            };
            let member = &self.members[place];
            // The two kinds of a name stand side by side. Who asks for it twice gets the last one.
            if before == Some(member.name()) {
                return false;
            }
            before = Some(member.name());
            let end = value.end + member.back().len();
            found[place] = Some(value);
            let rest = &text[end..];
            if rest == "}" {
                return true;
            }
            if !rest.starts_with(comma) {
                return false;
            }
            (at, next) = (end + comma.len(), place + 1);
        }
    }
}

/// Where the value of this member stands, if the member stands here.
fn value_at(member: &Member, text: &str, at: usize) -> Option<Range<usize>> {
    let value = text[at..].strip_prefix(&member.front)?;
    let start = at + member.front.len();
    let length = match member.kind {
        MemberKind::Text => {
            let end = memchr::memchr2(b'"', b'\\', value.as_bytes())?;
            (value.as_bytes()[end] == b'"').then_some(end)?
        }
        MemberKind::Json => end_of_value(value)?,
    };
    Some(start..start + length)
}
