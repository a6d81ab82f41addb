//! JSON objects as they are written, without understanding their values.

use super::{MemberKind, Spacing};

/// A member of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    /// What a column for it must hold.
    pub(super) kind: MemberKind,
}

/// The members of an object with this spacing; `None` for other texts, objects without members,
/// and names with escapes.
pub(super) fn members_of(text: &str, spacing: Spacing) -> Option<Vec<Written<'_>>> {
    let mut members = Vec::new();
    let mut rest = text.strip_prefix('{')?;
    loop {
        rest = rest.strip_prefix('"')?;
        let (name, after) = rest.split_once('"')?;
        if name.contains('\\') {
            return None;
        }
        let value = after.strip_prefix(spacing.colon())?;
        let end = end_of_value(value)?;
        let kind = match end_of_plain_string(value) {
            Some(plain) if plain == end => MemberKind::Text,
            _ => MemberKind::Json,
        };
        members.push(Written { name, kind });
        rest = &value[end..];
        if rest == "}" {
            return Some(members);
        }
        rest = rest.strip_prefix(spacing.comma())?;
    }
}

/// Where a string without escapes ends that the text begins with.
fn end_of_plain_string(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('"')?;
    let end = inside.find(['"', '\\'])?;
    inside[end..].starts_with('"').then_some(end + 2)
}

/// Where the JSON value ends that the text begins with, if it is one and has no spaces around it.
/// What it takes for a value need not be valid.
pub(super) fn end_of_value(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = match bytes.first()? {
        b'"' => end_of_string(bytes, 0)?,
        b'{' | b'[' => end_of_nested(bytes)?,
        _ => bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' '))?,
    };
    (end > 0).then_some(end)
}

/// Behind the string that begins here.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Behind the object or array that the bytes begin with.
fn end_of_nested(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = end_of_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}
