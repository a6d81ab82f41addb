//! The modes of a funnel, as people write them: names separated by commas.

use std::fmt;

/// Which rows may carry a chain on, and which rows end it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FunnelMode {
    /// How rows serve steps.
    pub service: Service,
    /// What a step's time must be.
    pub pace: Pace,
    /// Whether a repeated step ends a start.
    pub repeats: Repeats,
    /// Which foreign rows end a start.
    pub strangers: Strangers,
}

/// How many steps one row may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Service {
    /// Any number: `default`.
    #[default]
    ManySteps,
    /// One: `strict_once`.
    OneStep,
}

/// The time of a step beside the time of the step before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Equal or later: `default`.
    #[default]
    EqualOrLater,
    /// Later: `strict_increase`.
    Later,
}

/// What a row does that matches a reached step and does not advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Repeats {
    /// Nothing: `default`.
    #[default]
    Ignored,
    /// It ends the start: `strict_deduplication`.
    EndTheStart,
}

/// What a row does that matches no reached step and does not advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strangers {
    /// Nothing: `default`.
    #[default]
    Ignored,
    /// It ends the start: `strict_order`.
    EndTheStart,
    /// It ends the start only when it matches no condition at all: with `allow_reentry`.
    EndTheStartUnlessSomeStep,
}

/// A mode text that cannot be used: the word, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongMode {
    /// The word that was not understood.
    pub word: String,
    /// What is wanted instead.
    pub wanted: &'static str,
}

impl fmt::Display for WrongMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' (wanted: {})", self.word, self.wanted)
    }
}

/// The names, for errors.
pub(super) const MODES: &str = "default, strict_once, strict_increase, strict_deduplication \
     (or strict, deduplication), strict_order (or fixed), allow_reentry; separated by commas";

impl FunnelMode {
    /// Reads a mode text: names in any case, separated by commas.
    pub fn parse(text: &str) -> Result<Self, WrongMode> {
        let mut mode = Self::default();
        let mut reentry = None;
        for word in text.split(',').map(str::trim) {
            match word.to_ascii_lowercase().as_str() {
                "default" => {}
                "strict_once" => mode.service = Service::OneStep,
                "strict_increase" => mode.pace = Pace::Later,
                "strict_deduplication" | "strict" | "deduplication" => {
                    mode.repeats = Repeats::EndTheStart;
                }
                "strict_order" | "fixed" => mode.strangers = Strangers::EndTheStart,
                "allow_reentry" => reentry = Some(word),
                _ => {
                    return Err(WrongMode { word: word.to_owned(), wanted: MODES });
                }
            }
        }
        match (reentry, mode.strangers) {
            (None, _) => {}
            (Some(_), Strangers::EndTheStart) => {
                mode.strangers = Strangers::EndTheStartUnlessSomeStep;
            }
            (Some(word), _) => {
                let wanted = "allow_reentry only together with strict_order";
                return Err(WrongMode { word: word.to_owned(), wanted });
            }
        }
        Ok(mode)
    }

    /// Whether rows that match no condition can change the answer.
    pub fn needs_unmatched_rows(self) -> bool {
        self.strangers != Strangers::Ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_mean_the_same() {
        let parse = |text| FunnelMode::parse(text).unwrap();
        assert_eq!(parse("strict"), parse("strict_deduplication"));
        assert_eq!(parse("deduplication"), parse("STRICT_DEDUPLICATION"));
        assert_eq!(parse("fixed"), parse("strict_order"));
        assert_eq!(parse("default"), FunnelMode::default());
    }

    #[test]
    fn modes_combine_in_any_order() {
        let one = FunnelMode::parse("allow_reentry, strict_order,strict_once").unwrap();
        let other = FunnelMode::parse("strict_once,fixed , allow_reentry").unwrap();
        assert_eq!(one, other);
        assert_eq!(one.strangers, Strangers::EndTheStartUnlessSomeStep);
    }

    #[test]
    fn unknown_words_and_lonely_reentry_are_refused() {
        assert_eq!(FunnelMode::parse("strict_oder").unwrap_err().word, "strict_oder");
        assert_eq!(FunnelMode::parse("").unwrap_err().wanted, MODES);
        assert!(FunnelMode::parse("allow_reentry").unwrap_err().wanted.contains("strict_order"));
    }
}
