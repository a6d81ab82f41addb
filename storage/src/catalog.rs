//! What people named: identifier namespaces, segments and settings.
//!
//! The catalog is one small immutable JSON object; a commit that changes it writes a new one. Names
//! and SQL texts stand here and not in the log, because they may hold personal data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The catalog of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Identifier namespaces in the order of their numbers (a namespace's number is its place);
    /// namespaces are never removed or reordered.
    pub namespaces: Vec<Namespace>,
    /// Segments by name.
    pub segments: BTreeMap<String, SegmentDefinition>,
    /// The number that the next segment gets; never used twice.
    pub next_segment_id: u32,
    /// Further settings by name.
    pub settings: BTreeMap<String, String>,
}

/// How values of a namespace are brought to one form before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// White space around the value goes.
    Trim,
    /// Letters become lower case.
    Lowercase,
    /// A telephone number keeps its digits and a leading `+`; `00` becomes `+`.
    Phone,
}

/// A kind of identifier and its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name, also the name of its text column in `events`.
    pub name: String,
    /// How strong it is; 1 is the strongest.
    pub tier: u8,
    /// Whether one customer may hold one value only.
    pub unique: bool,
    /// How many values of it one customer may hold; `None` is no limit.
    pub max_per_customer: Option<u32>,
    /// How many distinct values of another namespace one identifier of this one may be linked
    /// to before it counts as shared: by that namespace's name.
    pub max_degree: BTreeMap<String, u32>,
    /// How values are normalised, in this order.
    pub normalise: Vec<Normalise>,
    /// Values that never connect, besides the built-in ones; compared after normalising, without
    /// regard to case.
    pub blocked: Vec<String>,
}

/// Whether a segment follows its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// Each refresh computes it anew.
    Dynamic,
    /// It keeps the members that it had when it was made.
    Static,
}

/// A named set of customers, as it was defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentDefinition {
    /// Its number; never used twice.
    pub id: u32,
    /// Its query, one column of customer_ids.
    pub sql: String,
    /// What people wrote about it.
    pub comment: Option<String>,
    /// Whether it follows its definition.
    pub kind: SegmentKind,
    /// The names of the segments that its query reads.
    pub uses: Vec<String>,
    /// When it was created or replaced, µs since the epoch.
    pub defined_at_us: i64,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            namespaces: Namespace::built_in(),
            segments: BTreeMap::new(),
            next_segment_id: 1,
            settings: BTreeMap::new(),
        }
    }
}

impl Catalog {
    /// The number of a namespace, its place in [`Catalog::namespaces`].
    pub fn namespace_number(&self, name: &str) -> Option<u16> {
        let place = self.namespaces.iter().position(|namespace| namespace.name == name)?;
        u16::try_from(place).ok()
    }
}

impl Namespace {
    /// `user_id`, `email`, `phone`, `anonymous_id` and `device_id` with their default rules.
    ///
    /// ```
    /// use habitue_storage::catalog::Namespace;
    /// let names: Vec<_> = Namespace::built_in().into_iter().map(|n| n.name).collect();
    /// assert_eq!(names, ["user_id", "email", "phone", "anonymous_id", "device_id"]);
    /// ```
    pub fn built_in() -> Vec<Self> {
        let plain = |name: &str, tier| Self {
            name: name.into(),
            tier,
            unique: false,
            max_per_customer: None,
            max_degree: BTreeMap::new(),
            normalise: vec![Normalise::Trim],
            blocked: Vec::new(),
        };
        let device = |name: &str| Self {
            max_degree: BTreeMap::from([("user_id".into(), 3)]),
            ..plain(name, 3)
        };
        vec![
            Self { unique: true, ..plain("user_id", 1) },
            Self { normalise: vec![Normalise::Trim, Normalise::Lowercase], ..plain("email", 2) },
            Self { normalise: vec![Normalise::Trim, Normalise::Phone], ..plain("phone", 2) },
            device("anonymous_id"),
            device("device_id"),
        ]
    }
}
