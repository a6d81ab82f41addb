//! How the members of a segment version were found.

use serde::{Deserialize, Serialize};

/// What a version was computed from besides its definition, kept so that the next version can be
/// computed from this one and from what changed in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computation {
    /// What `now()` was, µs since the epoch. Absent when the definition's clock depended on the
    /// session that computed it.
    pub now_us: Option<i64>,
    /// For how many customers the definition was evaluated; absent: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers_evaluated: Option<u64>,
    /// How many events had come in since the version before, when it was computed from that one;
    /// absent when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_events: Option<u64>,
    /// Why the definition must always be evaluated for all customers; absent when it need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always_whole: Option<WholeReason>,
}

/// Why whether somebody is a member does not follow from their own events alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WholeReason {
    /// It reads something else than events and segments.
    OtherTable,
    /// It counts, ranks, limits or joins over several customers.
    AcrossCustomers,
    /// It uses the time of the refresh otherwise than to compare times of events with it.
    Clock,
    /// It calls a function that answers differently each time.
    Volatile,
}

impl WholeReason {
    /// The reason in words, for people.
    ///
    /// ```
    /// use habitue_storage::log::computation::WholeReason;
    /// assert!(WholeReason::OtherTable.in_words().starts_with("reads"));
    /// ```
    pub fn in_words(self) -> &'static str {
        match self {
            Self::OtherTable => "reads more than events and segments",
            Self::AcrossCustomers => "counts, ranks, limits or joins across customers",
            Self::Clock => "uses the clock for more than comparing ts with it",
            Self::Volatile => "calls a function that answers differently each time",
        }
    }
}
