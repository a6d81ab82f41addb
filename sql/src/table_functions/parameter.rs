//! What arguments a table function takes, and how a wrong one is answered.

use crate::suggestion::nearest;
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
        Self { name, wanted, example }
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
    /// Values for the named parameters in their order.
    Parameters,
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
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name).collect();
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

/// `; did you mean `x`?` for the nearest known word, when one is near.
fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// An error of planning that points at the words it is about.
pub(super) fn pointing_at(message: String, span: SqlSpan) -> DataFusionError {
    let diagnostic = Diagnostic::new_error(message.clone(), Span::try_from_sqlparser_span(span));
    DataFusionError::Plan(message).with_diagnostic(diagnostic)
}
