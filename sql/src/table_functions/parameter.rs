//! What arguments a table function takes, and how a wrong one is answered.

use datafusion::common::{DataFusionError, Diagnostic, Span};
use datafusion::sql::sqlparser::tokenizer::Span as SqlSpan;
use std::fmt::Display;

/// A named argument.
#[derive(Debug)]
pub(super) struct Parameter {
    /// The word before `=>`.
    pub(super) name: &'static str,
    /// What it should be, in words.
    pub(super) wanted: &'static str,
    /// A right value.
    pub(super) example: &'static str,
}

impl Parameter {
    pub(super) const fn new(
        name: &'static str,
        wanted: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            wanted,
            example,
        }
    }
}

/// What the arguments without a name are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Positional {
    /// At most a relation.
    Relation,
    /// Perhaps a relation, then conditions.
    RelationAndConditions,
    /// A relation, then values for the named parameters in their order.
    RelationAndParameters,
}

/// How a table function is called.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) positional: Positional,
    pub(super) parameters: &'static [Parameter],
    /// A whole call.
    pub(super) example: &'static str,
}

/// Every relation can also be given by name.
pub(super) const RELATION: Parameter = Parameter::new(
    "relation",
    "a table, a subquery in parentheses or a table function",
    "relation => (SELECT * FROM events WHERE channel = 'web')",
);

impl Signature {
    pub(super) fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        let named = |parameter: &&Parameter| parameter.name.eq_ignore_ascii_case(name);
        if RELATION.name.eq_ignore_ascii_case(name) {
            return Some(&RELATION);
        }
        self.parameters.iter().find(named)
    }

    /// "funnel has no argument `witin`; did you mean `within`? …"
    pub(super) fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        format!(
            "{} has no argument `{name}`{}; it takes {}. example: {}",
            self.name,
            suggestion(name, names.iter().copied()),
            names.join(", "),
            self.example
        )
    }

    /// "argument `unit` of cohort_retention is wrong. came=…, wanted=…, example: …"
    pub(super) fn wrong(&self, parameter: &Parameter, came: impl Display) -> String {
        format!(
            "argument `{}` of {} is wrong. came={came}, wanted={}, example: {}",
            parameter.name, self.name, parameter.wanted, parameter.example
        )
    }
}

/// `; did you mean 'x'?` for the nearest known word, when one is near.
pub(super) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let lowercase = word.to_lowercase();
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&lowercase, candidate);
    known
        .min_by_key(distance)
        .filter(|nearest| distance(nearest) <= nearest.len().div_ceil(3))
        .map_or_else(String::new, |nearest| {
            format!("; did you mean `{nearest}`?")
        })
}

/// An error of planning that points at the words it is about.
pub(super) fn pointing_at(message: String, span: SqlSpan) -> DataFusionError {
    let diagnostic = Diagnostic::new_error(message.clone(), Span::try_from_sqlparser_span(span));
    DataFusionError::Plan(message).with_diagnostic(diagnostic)
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["within", "order", "tie"];
        assert_eq!(
            suggestion("WITIN", known.into_iter()),
            "; did you mean `within`?"
        );
        assert_eq!(suggestion("colour", known.into_iter()), "");
    }
}
