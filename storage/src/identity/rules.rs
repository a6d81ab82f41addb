//! Who belongs together, as a function of the set of links: nothing here knows about arrival.
//!
//! 1. Values are normalised before they come here (`dictionary::ValueRules`).
//! 2. A link to a blocked value connects nobody.
//! 3. An identifier linked to more distinct values of another namespace than its own namespace
//!    allows is *shared* as a whole: none of its links connects, and it is a customer of its own.
//!    Links that a person undid do not count.
//! 4. The links that are left are joined one by one in one total order ([`sort_key`]): manual ones
//!    that were forced, other manual ones, then observed, then probable ones; among equals the
//!    pair with the stronger stronger side, then with the stronger weaker side, then the earlier
//!    one, then the smaller hash of what they say (of the values, never of numbers).
//!    A link that would give a customer more values of a namespace than it may hold is rejected.
//! 5. What a person says counts: of the manual statements about a pair the latest one, and of two
//!    at the same time the separating one. A separated pair never comes into one customer, by no
//!    path. A forced link breaks the limits of rules 3 and 4, and nothing else.

use super::joining::Joining;
use crate::catalog::Catalog;
use std::collections::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_128;

/// The rules of all namespaces, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    namespaces: Vec<NamespaceRules>,
    /// The namespaces of which a customer may hold a limited number of values.
    limited: Vec<Limited>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamespaceRules {
    tier: u8,
    /// Its place among the limited ones.
    limited: Option<usize>,
    /// The other namespaces of which an identifier may be linked to so many values.
    degrees: Vec<(u16, u32)>,
}

/// A namespace of which a customer may hold at most `max` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limited {
    /// The namespace's number.
    pub namespace: u16,
    /// How many values one customer may hold.
    pub max: u32,
}

impl Rules {
    /// The rules that a catalog states.
    pub fn new(catalog: &Catalog) -> Self {
        let mut limited = Vec::new();
        let mut namespaces = Vec::with_capacity(catalog.namespaces.len());
        for (number, namespace) in (0_u16..).zip(&catalog.namespaces) {
            let max = match (namespace.unique, namespace.max_per_customer) {
                (true, _) => Some(1),
                (false, max) => max,
            };
            let place = max.map(|max| {
                limited.push(Limited { namespace: number, max });
                limited.len() - 1
            });
            let named = namespace.max_degree.iter();
            let degrees =
                named.filter_map(|(name, &max)| Some((catalog.namespace_number(name)?, max)));
            namespaces.push(NamespaceRules {
                tier: namespace.tier,
                limited: place,
                degrees: degrees.collect(),
            });
        }
        Self { namespaces, limited }
    }

    /// The tier of a namespace; 1 is the strongest.
    pub fn tier(&self, namespace: u16) -> u8 {
        self.namespaces.get(usize::from(namespace)).map_or(u8::MAX, |rules| rules.tier)
    }

    /// The namespaces of which a customer may hold a limited number of values.
    pub fn limited(&self) -> &[Limited] {
        &self.limited
    }

    /// The place of a namespace in [`Rules::limited`].
    pub fn limited_place(&self, namespace: u16) -> Option<usize> {
        self.namespaces.get(usize::from(namespace))?.limited
    }

    /// To how many values of `other` an identifier of `namespace` may be linked.
    pub fn degree_max(&self, namespace: u16, other: u16) -> Option<u32> {
        let rules = self.namespaces.get(usize::from(namespace))?;
        rules.degrees.iter().find(|(target, _)| *target == other).map(|(_, max)| *max)
    }

    /// The namespaces to whose values any namespace limits the links, ascending.
    pub fn degree_targets(&self) -> Vec<u16> {
        let degrees = self.namespaces.iter().flat_map(|namespace| &namespace.degrees);
        let mut targets: Vec<u16> = degrees.map(|(target, _)| *target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// What the rules look at in an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierFacts {
    /// The number of its namespace.
    pub namespace: u16,
    /// The hash of its namespace and value.
    pub hash: u128,
    /// Whether its value never connects anyone.
    pub blocked: bool,
}

/// Where a link comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// A person said that both are one, whatever the limits say.
    ManualForced,
    /// A person said that both are one.
    Manual,
    /// An event carried both.
    Observed,
    /// A model thinks that both are one.
    Probabilistic,
    /// A person said that both are not one; this does not link.
    ManualUnlink,
}

impl LinkKind {
    /// Its word in link files.
    pub fn word(self) -> &'static str {
        match self {
            Self::ManualForced => "manual_link_forced",
            Self::Manual => "manual_link",
            Self::Observed => "observed",
            Self::Probabilistic => "probabilistic",
            Self::ManualUnlink => "manual_unlink",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let kinds = [
            Self::ManualForced,
            Self::Manual,
            Self::Observed,
            Self::Probabilistic,
            Self::ManualUnlink,
        ];
        kinds.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether a person said it.
    pub fn is_manual(self) -> bool {
        matches!(self, Self::ManualForced | Self::Manual | Self::ManualUnlink)
    }
}

/// Two identifiers that belong together, or were said not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// One identifier, by its place.
    pub a: u32,
    /// The other one.
    pub b: u32,
    /// Where the link comes from.
    pub kind: LinkKind,
    /// Since when, µs since the epoch.
    pub valid_from_us: i64,
}

impl Link {
    /// Both ends, the smaller first.
    pub fn pair(&self) -> (u32, u32) {
        (self.a.min(self.b), self.a.max(self.b))
    }
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It holds: both ends are one customer; for an unlink: they are not.
    Accepted,
    /// One end is shared by too many.
    Shared {
        /// That end.
        identifier: u32,
    },
    /// One end has a value that never connects.
    Blocked {
        /// That end.
        identifier: u32,
    },
    /// It would give a customer too many values of a namespace.
    LimitBroken {
        /// The namespace and its limit.
        limited: Limited,
    },
    /// It would bring together what a person separated.
    Separated,
    /// A later manual statement about the same pair stands against it.
    Superseded,
}

/// The customers that the rules make of links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The customer of each identifier: the smallest place in its set.
    pub customer_of: Vec<u32>,
    /// What became of each link, in the order in which they came.
    pub outcomes: Vec<Outcome>,
    /// The identifiers that are shared, ascending.
    pub shared: Vec<u32>,
}

/// Applies rules 2 to 5. `links` may hold a pair several times; their order does not matter.
pub fn resolve(identifiers: &[IdentifierFacts], links: &[Link], rules: &Rules) -> Resolution {
    let statements = Statements::of(links);
    let shared = shared_identifiers(identifiers, links, rules, &statements);
    let is_shared = |identifier: u32| shared.binary_search(&identifier).is_ok();
    let (customer_of, outcomes) = connect(identifiers, links, rules, &statements, &is_shared);
    Resolution { customer_of, outcomes, shared }
}

/// For each pair about which a person said something, the statement that counts.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    by_pair: HashMap<(u32, u32), (i64, LinkKind)>,
}

impl Statements {
    /// The statements among links.
    pub fn of(links: &[Link]) -> Self {
        let mut by_pair = HashMap::new();
        for link in links.iter().filter(|link| link.kind.is_manual()) {
            let statement = (link.valid_from_us, link.kind);
            let entry = by_pair.entry(link.pair()).or_insert(statement);
            *entry = (*entry).max(statement);
        }
        Self { by_pair }
    }

    /// Whether the pair was separated and not linked again since.
    pub fn separates(&self, link: &Link) -> bool {
        self.by_pair.get(&link.pair()).is_some_and(|(_, kind)| *kind == LinkKind::ManualUnlink)
    }

    /// The separated pairs.
    pub fn separated(&self) -> impl Iterator<Item = (u32, u32)> {
        let unlinked = self.by_pair.iter().filter(|(_, (_, kind))| *kind == LinkKind::ManualUnlink);
        unlinked.map(|(pair, _)| *pair)
    }

    /// Whether another manual statement about the same pair counts instead of this one.
    pub fn supersedes(&self, link: &Link) -> bool {
        link.kind.is_manual()
            && self.by_pair.get(&link.pair()) != Some(&(link.valid_from_us, link.kind))
    }
}

/// Rule 3: who is linked to more values than allowed; ascending.
fn shared_identifiers(
    identifiers: &[IdentifierFacts],
    links: &[Link],
    rules: &Rules,
    statements: &Statements,
) -> Vec<u32> {
    if rules.degree_targets().is_empty() {
        return Vec::new();
    }
    let mut neighbours = HashSet::new();
    let mut degrees: HashMap<(u32, u16), u32> = HashMap::new();
    let mut shared = Vec::new();
    for link in links.iter().filter(|link| counts_for_degree(link, statements)) {
        for (end, other) in [(link.a, link.b), (link.b, link.a)] {
            let (facts, other_facts) = (identifiers[end as usize], identifiers[other as usize]);
            let limit = rules.degree_max(facts.namespace, other_facts.namespace);
            let Some(max) = limit else { continue };
            if facts.blocked || other_facts.blocked || !neighbours.insert((end, other)) {
                continue;
            }
            let degree = degrees.entry((end, other_facts.namespace)).or_default();
            *degree += 1;
            if *degree > max {
                shared.push(end);
            }
        }
    }
    shared.sort_unstable();
    shared.dedup();
    shared
}

/// Whether a link says that its ends belong together, and nobody took it back.
pub(crate) fn counts_for_degree(link: &Link, statements: &Statements) -> bool {
    link.a != link.b
        && link.kind != LinkKind::ManualUnlink
        && !statements.supersedes(link)
        && !statements.separates(link)
}

/// Rules 4 and 5: joins the links in their order. Answers the customer of each identifier and the
/// outcome of each link.
pub(crate) fn connect(
    identifiers: &[IdentifierFacts],
    links: &[Link],
    rules: &Rules,
    statements: &Statements,
    is_shared: &dyn Fn(u32) -> bool,
) -> (Vec<u32>, Vec<Outcome>) {
    let mut outcomes = vec![Outcome::Accepted; links.len()];
    let mut order = Vec::with_capacity(links.len());
    for (place, link) in links.iter().enumerate() {
        match outcome_by_itself(link, identifiers, statements, is_shared) {
            Some(outcome) => outcomes[place] = outcome,
            None => order.push((sort_key(link, identifiers, rules), place)),
        }
    }
    order.sort_unstable();
    let mut joining = Joining::new(identifiers, rules, statements);
    for (_, place) in order {
        outcomes[place] = joining.join(&links[place], rules);
    }
    (joining.into_customers(), outcomes)
}

/// The outcome of a link that does not depend on the other links that are joined.
fn outcome_by_itself(
    link: &Link,
    identifiers: &[IdentifierFacts],
    statements: &Statements,
    is_shared: &dyn Fn(u32) -> bool,
) -> Option<Outcome> {
    if statements.supersedes(link) {
        return Some(Outcome::Superseded);
    }
    if link.kind == LinkKind::ManualUnlink {
        return Some(Outcome::Accepted);
    }
    let ends = [link.a, link.b];
    if let Some(identifier) = ends.into_iter().find(|end| identifiers[*end as usize].blocked) {
        return Some(Outcome::Blocked { identifier });
    }
    if statements.separates(link) {
        return Some(Outcome::Separated);
    }
    let shared = ends.into_iter().find(|end| is_shared(*end));
    match (shared, link.kind) {
        (Some(_), LinkKind::ManualForced) | (None, _) => None,
        (Some(identifier), _) => Some(Outcome::Shared { identifier }),
    }
}

/// The place of a link in the one total order.
pub(crate) fn sort_key(
    link: &Link,
    identifiers: &[IdentifierFacts],
    rules: &Rules,
) -> (LinkKind, u8, u8, i64, u128) {
    let (a, b) = (identifiers[link.a as usize], identifiers[link.b as usize]);
    let (tier_a, tier_b) = (rules.tier(a.namespace), rules.tier(b.namespace));
    let mut content = [0; 32];
    content[..16].copy_from_slice(&a.hash.min(b.hash).to_le_bytes());
    content[16..].copy_from_slice(&a.hash.max(b.hash).to_le_bytes());
    let (stronger, weaker) = (tier_a.min(tier_b), tier_a.max(tier_b));
    (link.kind, stronger, weaker, link.valid_from_us, xxh3_128(&content))
}
