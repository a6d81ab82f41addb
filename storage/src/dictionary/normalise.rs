//! One form for each identifier value, and the values that never connect anyone.
//!
//! Values are normalised by the rules of their namespace before they are hashed. A value of which
//! nothing is left is no identifier at all. Blocked values are identifiers, so their events count,
//! but no link may stand on them.

use crate::catalog::{Namespace, Normalise};
use std::borrow::Cow;
use std::collections::HashSet;

/// Values that programs write where an identifier is missing; compared after stripping white space
/// and paired quotes, without regard to case.
const BLOCKED: [&str; 21] = [
    "null",
    "undefined",
    "none",
    "nan",
    "n/a",
    "unknown",
    "anonymous",
    "guest",
    "true",
    "false",
    "id",
    "email",
    "distinct_id",
    "distinctid",
    "not_authenticated",
    "invalid",
    "[object object]",
    "0",
    "-1",
    "void",
    "test",
];

/// The rules for the values of one namespace, ready for use.
#[derive(Clone, Debug)]
pub struct ValueRules {
    steps: Vec<Normalise>,
    blocked: HashSet<String>,
}

impl ValueRules {
    /// The rules of a namespace.
    pub fn new(namespace: &Namespace) -> Self {
        let mut rules = Self { steps: namespace.normalise.clone(), blocked: HashSet::new() };
        rules.blocked = namespace
            .blocked
            .iter()
            .map(|value| bare(&rules.apply_steps(value)).to_lowercase())
            .collect();
        rules
    }

    /// The form in which the value is compared; `None` when nothing is left of it.
    ///
    /// ```
    /// use habitue_storage::{catalog::Namespace, dictionary::ValueRules};
    /// let [_, email, phone, ..] = &Namespace::built_in()[..] else { panic!() };
    /// assert_eq!(ValueRules::new(email).normalise(" Ada@X.io ").as_deref(), Some("ada@x.io"));
    /// assert_eq!(ValueRules::new(phone).normalise("0049 (30) 12").as_deref(), Some("+493012"));
    /// assert_eq!(ValueRules::new(email).normalise("  "), None);
    /// ```
    pub fn normalise<'a>(&self, value: &'a str) -> Option<Cow<'a, str>> {
        let normalised = self.apply_steps(value);
        if normalised.trim().is_empty() { None } else { Some(normalised) }
    }

    /// Whether a normalised value never connects anyone.
    ///
    /// ```
    /// use habitue_storage::{catalog::Namespace, dictionary::ValueRules};
    /// let rules = ValueRules::new(&Namespace::built_in()[0]);
    /// assert!(rules.is_blocked("'NULL'") && rules.is_blocked("00000000-0000") );
    /// assert!(!rules.is_blocked("u1") && !rules.is_blocked("1000"));
    /// ```
    pub fn is_blocked(&self, normalised: &str) -> bool {
        let value = bare(normalised);
        if value.bytes().all(|byte| byte == b'0' || byte == b'-') {
            return true;
        }
        // The longest built-in value is short; most identifiers are not.
        if value.len() > 24 && self.blocked.is_empty() {
            return false;
        }
        let folded = value.to_lowercase();
        BLOCKED.contains(&folded.as_str()) || self.blocked.contains(&folded)
    }

    fn apply_steps<'a>(&self, value: &'a str) -> Cow<'a, str> {
        self.steps.iter().fold(Cow::Borrowed(value), |value, step| apply(*step, value))
    }
}

fn apply(step: Normalise, value: Cow<'_, str>) -> Cow<'_, str> {
    match step {
        Normalise::Trim => trim(value),
        Normalise::Lowercase => lowercase(value),
        Normalise::Phone => phone(value),
    }
}

fn trim(value: Cow<'_, str>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn lowercase(value: Cow<'_, str>) -> Cow<'_, str> {
    let is_lower = value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { value } else { Cow::Owned(value.to_lowercase()) }
}

/// Keeps the digits and a `+` that stands before the first of them; a leading `00` is a `+`.
fn phone(value: Cow<'_, str>) -> Cow<'_, str> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let before_digits = value.split(|letter: char| letter.is_ascii_digit()).next();
    if digits.is_empty() {
        return Cow::Owned(String::new());
    }
    if before_digits.is_some_and(|prefix| prefix.contains('+')) {
        return Cow::Owned(format!("+{digits}"));
    }
    match digits.strip_prefix("00") {
        Some(rest) if rest.bytes().any(|digit| digit != b'0') => Cow::Owned(format!("+{rest}")),
        _ if digits.len() == value.len() => value,
        _ => Cow::Owned(digits),
    }
}

/// The value without white space and paired quotes around it, as often as they come.
fn bare(value: &str) -> &str {
    let mut value = value.trim();
    for _ in 0..QUOTES_MAX {
        let stripped = ['"', '\'', '`']
            .iter()
            .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
        let Some(stripped) = stripped else { break };
        value = stripped.trim();
    }
    value
}

/// More quotes than this around a value are not there by mistake.
const QUOTES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str) -> ValueRules {
        let namespaces = Namespace::built_in();
        ValueRules::new(namespaces.iter().find(|namespace| namespace.name == name).unwrap())
    }

    #[test]
    fn placeholders_are_blocked_in_every_costume() {
        let rules = rules("user_id");
        for value in
            ["null", "NULL", "\"null\"", "' Null '", "`n/a`", "'\"none\"'", "-1", "0", "000"]
        {
            assert!(rules.is_blocked(value), "{value}");
        }
        for value in
            ["--", "[object Object]", "00000000-0000-0000-0000-000000000000", "\"\"", "VOID"]
        {
            assert!(rules.is_blocked(value), "{value}");
        }
        for value in ["u1", "nullius", "1-1", "test1", "'null", "10", "-2", "guest-7"] {
            assert!(!rules.is_blocked(value), "{value}");
        }
    }

    #[test]
    fn blocked_values_of_a_namespace_are_compared_normalised() {
        let mut namespace = Namespace::built_in().remove(1);
        namespace.blocked =
            vec![" Info@Shop.example ".into(), "a-very-long-placeholder-of-a-shop".into()];
        let rules = ValueRules::new(&namespace);
        assert!(rules.is_blocked(&rules.normalise("INFO@shop.example").unwrap()));
        assert!(rules.is_blocked(&rules.normalise("A-Very-Long-Placeholder-of-a-Shop").unwrap()));
        assert!(!rules.is_blocked("info@shop.exampl"));
    }

    #[test]
    fn phones_are_compared_by_their_digits() {
        let rules = rules("phone");
        for value in ["+49 30 12345", "(+49) 30-12345", "0049 30 12 345"] {
            assert_eq!(rules.normalise(value).as_deref(), Some("+493012345"), "{value}");
        }
        assert_eq!(rules.normalise("030/12345").as_deref(), Some("03012345"));
        assert_eq!(rules.normalise("0000000").as_deref(), Some("0000000"));
        assert_eq!(rules.normalise("unknown"), None);
    }

    #[test]
    fn a_value_of_white_space_is_no_identifier() {
        for name in ["user_id", "email", "phone"] {
            assert_eq!(rules(name).normalise(" \t\u{a0}"), None);
        }
    }
}
