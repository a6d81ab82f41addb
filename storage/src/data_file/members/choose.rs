//! Which members get columns: those of the first rows of a file.

use super::object::{Written, members_of};
use super::{Member, MemberKind, Members, Spacing};
use arrow::array::StringArray;

/// So many texts are looked at.
const SAMPLE_ROWS: usize = 8 * 1024;
/// A file has no more columns of members than these: names may be data, and none of those.
const MEMBERS_MAX: usize = 32;
/// A member that fewer than one text in so many has gets no column.
const TEXTS_PER_MEMBER_MAX: usize = 256;

impl Members {
    /// The members that texts like these should have in columns; `None` when fewer than half of
    /// them could be split.
    pub(crate) fn for_texts(texts: &StringArray) -> Option<Self> {
        let known = texts.iter().flatten().take(SAMPLE_ROWS).collect::<Vec<_>>();
        let readings = Spacing::ALL.map(|spacing| {
            let read = known.iter().filter_map(|text| members_of(text, spacing));
            (spacing, read.collect::<Vec<_>>())
        });
        let (spacing, read) = readings.into_iter().max_by_key(|(_, read)| read.len())?;
        if read.is_empty() || read.len() * 2 < known.len() {
            return None;
        }
        let members = in_order(&read)
            .into_iter()
            .map(|(written, _)| Member::new(written.name.to_owned(), written.kind, spacing));
        let members = Self { spacing, members: members.collect() };
        let split = known.iter().filter(|text| members.can_split(text)).count();
        (split * 2 >= known.len()).then_some(members)
    }
}

/// The members of all these texts in an order that most texts keep, with how many have each;
/// without the rare ones.
fn in_order<'a>(texts: &[Vec<Written<'a>>]) -> Vec<(Written<'a>, usize)> {
    let mut all: Vec<(Written<'a>, usize)> = Vec::new();
    for text in texts {
        let mut next = 0;
        for written in text {
            next = match place_of(&all, written) {
                // Behind what came before it in this text, or not: such a text is kept whole.
                Some(place) => {
                    all[place].1 += 1;
                    next.max(place + 1)
                }
                None if all.len() < 4 * MEMBERS_MAX => {
                    let beside = beside(&all, written.name).unwrap_or(next);
                    all.insert(beside, (Written { ..*written }, 1));
                    next.max(beside + 1)
                }
                None => next,
            };
        }
    }
    let mut counts = all.iter().map(|(_, texts)| *texts).collect::<Vec<_>>();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts.get(MEMBERS_MAX).map_or(0, |count| count + 1);
    let least = least.max(texts.len().div_ceil(TEXTS_PER_MEMBER_MAX));
    all.retain(|(_, texts)| *texts >= least);
    all
}

fn place_of(all: &[(Written<'_>, usize)], written: &Written<'_>) -> Option<usize> {
    all.iter().position(|(known, _)| known == written)
}

/// Where the other kind of a known name belongs: plain text is tried first.
fn beside(all: &[(Written<'_>, usize)], name: &str) -> Option<usize> {
    let place = all.iter().position(|(known, _)| known.name == name)?;
    Some(match all[place].0.kind {
        MemberKind::Text => place + 1,
        MemberKind::Json => place,
    })
}
