//! The writer's state of identities: it numbers identifiers, collects links, and finds customers.
//!
//! 1. `observe` turns the values of each event into numbers, and links the event's own identifier
//!    with the others that it carries.
//! 2. `resolve` adds the new links to the *raw* components, which hold all links that may connect.
//!    Where no limit can be broken, a raw component is one customer: a plain union.
//! 3. Only raw components where a rule may reject something are replayed through
//!    [`rules`](super::rules), and only when a new or an earlier link touches them.
//! 4. An identifier that becomes shared leaves its raw component, which is built again without it.
//!
//! Memory, per identifier: 24 bytes of dictionary, 2 of namespace, 4 of customer, 8 of components,
//! 4 for each namespace with a limit, 4 for each namespace whose degree is limited, 4 of links; per
//! link 28 bytes. What a commit adds is held with its values until it is written.

mod degrees;
mod files;
mod observe;
mod resolve;

use super::link_table::LinkTable;
use super::raw_components::RawComponents;
use super::rules::{Link, LinkKind, Rules, Statements};
use crate::catalog::Catalog;
use crate::dictionary::run::NewIdentifiers;
use crate::dictionary::{Dictionary, Layer, ValueRules};
use crate::error::{Error, Result};
use crate::log::action::{DictionaryRun, IdentityMapRef, LinkFile};
use degrees::Degrees;
pub(crate) use observe::LookedUp;
use observe::PairCache;
use roaring::RoaringBitmap;
use std::collections::{HashMap, HashSet};

/// Numbers from here on mean something else than an identifier.
const IDENTIFIERS_MAX: u32 = u32::MAX - 16;

/// The writer's state: dictionary, links and components. Loaded from a snapshot, advanced in place.
///
/// The order of calls for one commit: [`Stitcher::observe`] for each batch, [`Stitcher::resolve`],
/// [`Stitcher::write`], whose actions go into the commit, and once that is committed
/// [`Stitcher::park`], which keeps the state for the next ingest of this process. After a conflict:
/// [`Stitcher::load`] a new one from the newer snapshot, [`Stitcher::rebase`] it on the old one,
/// rewrite the files with the [`Remap`], and go on with [`Stitcher::resolve`].
#[derive(Debug)]
pub struct Stitcher {
    rules: Rules,
    pub(super) values: Vec<ValueRules>,
    pub(super) namespace_names: Vec<String>,
    /// What of the state lies in files already.
    stored: Stored,
    /// Identifiers of the snapshot.
    dictionary: Dictionary,
    /// Identifiers since then, by hash and as they will be written.
    fresh: Layer,
    new: NewIdentifiers,
    /// By identifier.
    namespaces: Vec<u16>,
    /// Identifiers whose values never connect.
    blocked: RoaringBitmap,
    links: LinkTable,
    /// Links at this place and above are new since the snapshot.
    links_stored: u32,
    /// For each new link the event that shows it.
    evidence: Vec<Box<str>>,
    /// For each link of the snapshot that is valid from an earlier time, the event that shows it.
    earlier: HashMap<u32, Box<str>>,
    /// What people said, all of it.
    pub(super) stated: Vec<StatedLink>,
    statements: Statements,
    /// Pairs that a statement in force links; they are in the degrees already.
    stated_pairs: HashSet<u64>,
    degrees: Degrees,
    shared: RoaringBitmap,
    raw: RawComponents,
    /// The customer of each identifier, as of the last resolve.
    customers: Vec<u32>,
    /// Identifiers of the snapshot whose customer changed since, with the one before.
    customers_before: HashMap<u32, u32>,
    /// Links below this place have been resolved.
    links_resolved: u32,
    /// Links below that place that are valid from an earlier time since.
    earlier_unresolved: HashSet<u32>,
    pair_cache: PairCache,
    source: String,
}

/// The files that the state was read from.
#[derive(Clone, Debug, Default)]
struct Stored {
    runs: Vec<DictionaryRun>,
    links: Vec<LinkFile>,
    map: IdentityMapRef,
}

/// A link that no event showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatedLink {
    pub link: Link,
    /// Who said it.
    pub source: String,
    /// Why.
    pub reason: String,
    pub weight: f32,
    pub is_stored: bool,
}

/// What the observed batches change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityChanges {
    /// How many identifiers are new.
    pub identifiers_new: u32,
    /// How many pairs of identifiers are linked for the first time.
    pub links_new: u64,
    /// How many known pairs turned out to be linked earlier than known.
    pub links_earlier: u64,
    /// Identifiers whose customer changes, with their new customer, ascending; a new identifier
    /// that is a customer of its own is not listed.
    pub moved: Vec<(u32, u32)>,
    /// The customers who gain or lose identifiers, by their numbers before and after.
    pub customers_changed: RoaringBitmap,
    /// Customers after less customers before.
    pub customers_new: i64,
}

/// From the numbers that a stitcher gave to new identifiers to those that they get after another
/// writer committed first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remap {
    first: u32,
    numbers: Vec<u32>,
}

impl Remap {
    /// The number that stands now for what was `identifier`.
    pub fn apply(&self, identifier: u32) -> u32 {
        match identifier.checked_sub(self.first) {
            Some(place) => self.numbers.get(place as usize).copied().unwrap_or(identifier),
            None => identifier,
        }
    }

    /// Whether all numbers stay, so that no file has to be rewritten.
    pub fn is_identity(&self) -> bool {
        (self.first..).zip(&self.numbers).all(|(old, &new)| old == new)
    }
}

impl Stitcher {
    /// The state of a database without identifiers.
    pub fn new(catalog: &Catalog) -> Self {
        let rules = Rules::new(catalog);
        Self {
            values: catalog.namespaces.iter().map(ValueRules::new).collect(),
            namespace_names: catalog.namespaces.iter().map(|space| space.name.clone()).collect(),
            stored: Stored::default(),
            dictionary: Dictionary::default(),
            fresh: Layer::default(),
            new: NewIdentifiers::default(),
            namespaces: Vec::new(),
            blocked: RoaringBitmap::new(),
            links: LinkTable::default(),
            links_stored: 0,
            evidence: Vec::new(),
            earlier: HashMap::new(),
            stated: Vec::new(),
            statements: Statements::default(),
            stated_pairs: HashSet::new(),
            degrees: Degrees::new(&rules),
            shared: RoaringBitmap::new(),
            raw: RawComponents::new(&rules),
            customers: Vec::new(),
            customers_before: HashMap::new(),
            links_resolved: 0,
            earlier_unresolved: HashSet::new(),
            pair_cache: PairCache::default(),
            source: String::new(),
            rules,
        }
    }

    /// Says where the events come from that are observed from here on; kept with their links.
    pub fn set_source(&mut self, source: &str) {
        source.clone_into(&mut self.source);
    }

    /// How many identifiers there are, with those that are not committed.
    pub fn identifiers(&self) -> u32 {
        self.namespaces.len() as u32
    }

    /// How many of them the snapshot held; numbers from here on may change by
    /// [`Stitcher::rebase`].
    pub fn identifiers_committed(&self) -> u32 {
        self.dictionary.len()
    }

    /// The customer of each identifier, as of the last [`Stitcher::resolve`].
    pub fn customers(&self) -> &[u32] {
        &self.customers
    }

    /// Bytes of memory, without the values that wait to be written.
    pub fn memory_bytes(&self) -> usize {
        self.dictionary.memory_bytes()
            + self.fresh.memory_bytes()
            + self.namespaces.capacity() * size_of::<u16>()
            + self.customers.capacity() * size_of::<u32>()
            + self.links.memory_bytes()
            + self.raw.memory_bytes()
            + self.degrees.memory_bytes()
    }

    /// Takes over what `old` observed and could not commit. `self` is freshly loaded from a newer
    /// snapshot. Answers where the numbers of the new identifiers of `old` went.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when there are no numbers left.
    pub fn rebase(&mut self, old: &Self) -> Result<Remap> {
        let mut remap = Remap { first: old.dictionary.len(), numbers: Vec::new() };
        for place in 0..old.new.values.len() {
            let hash = old.new.hashes[place];
            let first_seen_us = old.new.first_seen_us[place];
            let number = match self.find_hash(hash) {
                Some(number) => number,
                None => self.register(
                    old.new.namespaces[place],
                    &old.new.values[place],
                    hash,
                    first_seen_us,
                    old.new.blocked[place],
                )?,
            };
            self.saw_at(number, first_seen_us);
            remap.numbers.push(number);
        }
        let new_links = (old.links_stored..).zip(&old.evidence);
        let earlier_links = old.earlier.iter().map(|(place, evidence)| (*place, evidence));
        for (place, evidence) in new_links.chain(earlier_links) {
            let (a, b) = old.links.pair(place);
            let ts_us = old.links.valid_from_us(place);
            self.see_link(remap.apply(a), remap.apply(b), ts_us, evidence)?;
        }
        self.source.clone_from(&old.source);
        Ok(remap)
    }

    /// What was new belongs to the snapshot from here on.
    fn settle(&mut self) {
        let next = Layer::new(self.identifiers());
        self.dictionary.append(std::mem::replace(&mut self.fresh, next));
        self.new = NewIdentifiers::default();
        self.links_stored = self.links.len();
        self.evidence = Vec::new();
        self.earlier.clear();
        self.customers_before.clear();
        for stated in &mut self.stated {
            stated.is_stored = true;
        }
    }

    pub(super) fn find_hash(&self, hash: u128) -> Option<u32> {
        self.dictionary.find_hash(hash).or_else(|| self.fresh.find(hash))
    }

    fn hash_of(&self, identifier: u32) -> Result<u128> {
        let place = identifier.checked_sub(self.dictionary.len());
        let hash = match place {
            Some(place) => self.new.hashes.get(place as usize).copied(),
            None => self.dictionary.hash_of(identifier),
        };
        hash.ok_or_else(|| Error::Internal(format!("identifier {identifier} has no hash")))
    }

    /// Gives a number to an identifier that has none.
    fn register(
        &mut self,
        namespace: u16,
        normalised: &str,
        hash: u128,
        first_seen_us: i64,
        blocked: bool,
    ) -> Result<u32> {
        if self.identifiers() >= IDENTIFIERS_MAX {
            let limit = u64::from(IDENTIFIERS_MAX);
            return Err(Error::Exhausted { what: "identifiers", limit });
        }
        let number = self.fresh.push(hash);
        self.namespaces.push(namespace);
        self.new.namespaces.push(namespace);
        self.new.values.push(normalised.into());
        self.new.hashes.push(hash);
        self.new.first_seen_us.push(first_seen_us);
        self.new.blocked.push(blocked);
        if blocked {
            self.blocked.insert(number);
        }
        Ok(number)
    }

    /// Notes an earlier first sight of an identifier that this commit brings.
    fn saw_at(&mut self, identifier: u32, ts_us: i64) {
        if let Some(place) = identifier.checked_sub(self.dictionary.len()) {
            let first_seen = &mut self.new.first_seen_us[place as usize];
            *first_seen = ts_us.min(*first_seen);
        }
    }

    /// Takes in an event's link, whichever way round.
    fn see_link(&mut self, one: u32, other: u32, ts_us: i64, event_id: &str) -> Result<()> {
        use super::link_table::Sighting;
        match self.links.see(one, other, ts_us)? {
            Sighting::Known => {}
            Sighting::New(_) => self.evidence.push(event_id.into()),
            Sighting::Earlier(place) => {
                match place.checked_sub(self.links_stored) {
                    Some(new) => self.evidence[new as usize] = event_id.into(),
                    None => {
                        self.earlier.insert(place, event_id.into());
                    }
                }
                if place < self.links_resolved && self.may_reject() {
                    self.earlier_unresolved.insert(place);
                }
            }
        }
        Ok(())
    }

    /// Whether the order of links can matter at all.
    fn may_reject(&self) -> bool {
        !self.rules.limited().is_empty() || self.statements.separated().next().is_some()
    }

    /// Makes what people said effective; the components have to be built again after it.
    pub(super) fn set_stated(&mut self, stated: Vec<StatedLink>) {
        let links: Vec<Link> = stated.iter().map(|stated| stated.link).collect();
        self.statements = Statements::of(&links);
        let in_force = links.iter().filter(|link| {
            link.kind != LinkKind::ManualUnlink
                && !self.statements.supersedes(link)
                && !self.statements.separates(link)
        });
        self.stated_pairs =
            in_force.map(|link| super::link_table::pair_of(link.a, link.b)).collect();
        self.stated = stated;
    }
}

#[cfg(test)]
mod tests;
