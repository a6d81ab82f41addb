//! From links to customers, at the cost of what the new links touch.

use super::{IdentityChanges, Stitcher};
use crate::error::Result;
use crate::identity::link_table::pair_of;
use crate::identity::raw_components::RawComponents;
use crate::identity::rules::{self, IdentifierFacts, Link, LinkKind, Statements};
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::ops::Range;

/// Which raw components have to be looked at again.
#[derive(Default)]
struct Touched {
    /// Identifiers that were the smallest of their raw component and are not any more.
    lost: Vec<u32>,
    /// Identifiers within whose raw component the links changed.
    inside: Vec<u32>,
    /// Identifiers whose raw component was taken apart.
    dissolved: Vec<u32>,
}

impl Stitcher {
    /// What all batches observed since the last commit change.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::Error::Internal) when the state contradicts itself.
    pub fn resolve(&mut self) -> Result<IdentityChanges> {
        self.grow();
        let fresh = self.links_resolved..self.links.len();
        let mut touched = Touched::default();
        let newly_shared = self.count_degrees(fresh.clone());
        self.take_out(&newly_shared, &mut touched);
        let may_reject = self.may_reject();
        for place in fresh {
            let (a, b) = self.links.pair(place);
            if !self.may_connect(a, b) {
                continue;
            }
            match self.raw.unite(a, b) {
                Some(lost) => touched.lost.push(lost),
                None if may_reject => touched.inside.push(a),
                None => {}
            }
        }
        let earlier = std::mem::take(&mut self.earlier_unresolved);
        touched.inside.extend(earlier.iter().map(|place| self.links.pair(*place).0));
        self.links_resolved = self.links.len();
        self.evaluate(touched)?;
        Ok(self.changes())
    }

    /// Computes everything again from dictionary and links, as if all had come in one batch.
    ///
    /// # Errors
    /// Like [`Stitcher::resolve`].
    pub(crate) fn rebuild(&mut self) -> Result<IdentityChanges> {
        self.rebuild_components();
        let identifiers = self.identifiers();
        let roots = (0..identifiers).filter(|identifier| self.raw.find(*identifier) == *identifier);
        let roots: Vec<u32> = roots.collect();
        let separated = self.separated_roots();
        for root in roots {
            self.evaluate_whole(root, &separated)?;
        }
        Ok(self.changes())
    }

    /// Builds degrees and raw components from all links; the customers stay as they are.
    pub(super) fn rebuild_components(&mut self) {
        self.degrees = super::Degrees::new(&self.rules);
        self.raw = RawComponents::new(&self.rules);
        self.shared = RoaringBitmap::new();
        self.grow();
        self.count_stated_degrees();
        self.count_degrees(0..self.links.len());
        let mut lost = Vec::new();
        for place in 0..self.links.len() {
            let (a, b) = self.links.pair(place);
            if self.may_connect(a, b) {
                lost.extend(self.raw.unite(a, b));
            }
        }
        let stated = self.stated.iter().map(|stated| stated.link);
        let stated: Vec<Link> = stated.filter(|link| self.stated_may_connect(link)).collect();
        lost.extend(stated.iter().filter_map(|link| self.raw.unite(link.a, link.b)));
        for lost in lost {
            let root = self.raw.find(lost);
            self.raw.add_counts(root, lost);
            self.raw.add_members(root, lost);
        }
        self.links_resolved = self.links.len();
        self.earlier_unresolved.clear();
    }

    /// Room for identifiers that came since; each is a customer of its own at first.
    fn grow(&mut self) {
        let start = self.customers.len() as u32;
        self.customers.extend(start..self.identifiers());
        self.raw.grow(&self.namespaces, &self.rules);
        self.degrees.grow(self.namespaces.len());
    }

    /// Counts new links; answers who becomes shared by them.
    fn count_degrees(&mut self, links: Range<u32>) -> Vec<u32> {
        let mut newly_shared = Vec::new();
        if self.degrees.is_empty() {
            return newly_shared;
        }
        for place in links {
            let (a, b) = self.links.pair(place);
            if self.is_separated(a, b) || self.stated_pairs.contains(&pair_of(a, b)) {
                continue;
            }
            self.count_degree(a, b, &mut newly_shared);
        }
        newly_shared
    }

    fn count_stated_degrees(&mut self) {
        let pairs: Vec<u64> = self.stated_pairs.iter().copied().collect();
        for pair in pairs {
            let (a, b) = ((pair >> 32) as u32, pair as u32);
            if !self.blocked.contains(a) && !self.blocked.contains(b) && a != b {
                self.count_degree(a, b, &mut Vec::new());
            }
        }
    }

    fn count_degree(&mut self, a: u32, b: u32, newly_shared: &mut Vec<u32>) {
        for (end, other) in [(a, b), (b, a)] {
            let namespace = self.namespaces[end as usize];
            let target = self.namespaces[other as usize];
            let is_over = self.degrees.add((end, namespace), target, &self.rules);
            if is_over && self.shared.insert(end) {
                newly_shared.push(end);
            }
        }
    }

    /// Takes apart the raw components of identifiers that became shared, and joins them again by
    /// the links that are left.
    fn take_out(&mut self, newly_shared: &[u32], touched: &mut Touched) {
        let mut members: Vec<u32> =
            newly_shared.iter().flat_map(|identifier| self.raw.ring(*identifier)).collect();
        members.sort_unstable();
        members.dedup();
        self.raw.dissolve(&members, &self.namespaces, &self.rules);
        let mut links = Vec::new();
        for &low in &members {
            let highs = self.links.links_of(low).map(|(high, _)| high);
            links.extend(highs.filter(|high| self.may_connect(low, *high)).map(|high| (low, high)));
        }
        let stated = self.stated.iter().map(|stated| stated.link);
        let stated = stated.filter(|link| self.stated_may_connect(link));
        links.extend(stated.map(|link| link.pair()));
        let is_member = |identifier: &u32| members.binary_search(identifier).is_ok();
        for (a, b) in links {
            // A new link may lead out of the component; it comes with the other new links.
            if is_member(&a) && is_member(&b) {
                touched.lost.extend(self.raw.unite(a, b));
            }
        }
        touched.dissolved.extend(members);
    }

    /// Whether an observed link can connect under any circumstances.
    fn may_connect(&self, a: u32, b: u32) -> bool {
        (self.shared.is_empty() || !self.shared.contains(a) && !self.shared.contains(b))
            && !self.is_separated(a, b)
    }

    fn is_separated(&self, a: u32, b: u32) -> bool {
        !self.stated.is_empty()
            && self.statements.separates(&Link { a, b, kind: LinkKind::Observed, valid_from_us: 0 })
    }

    fn stated_may_connect(&self, link: &Link) -> bool {
        let is_forced = link.kind == LinkKind::ManualForced;
        link.kind != LinkKind::ManualUnlink
            && !self.statements.supersedes(link)
            && !self.blocked.contains(link.a)
            && !self.blocked.contains(link.b)
            && (is_forced || self.may_connect(link.a, link.b))
            && !self.is_separated(link.a, link.b)
    }

    /// Raw components, by their smallest members, with two people whom somebody separated.
    fn separated_roots(&mut self) -> HashSet<u32> {
        let pairs: Vec<(u32, u32)> = self.statements.separated().collect();
        let mut roots = HashSet::new();
        for (a, b) in pairs {
            let root = self.raw.find(a);
            if root == self.raw.find(b) {
                roots.insert(root);
            }
        }
        roots
    }

    fn evaluate(&mut self, touched: Touched) -> Result<()> {
        let separated = self.separated_roots();
        let mut groups: Vec<(u32, u32)> = Vec::with_capacity(touched.lost.len());
        for lost in touched.lost {
            let root = self.raw.find(lost);
            self.raw.add_counts(root, lost);
            groups.push((root, lost));
        }
        let mut whole = Vec::new();
        for (root, lost) in groups {
            if self.is_free(root, &separated) {
                self.relabel(lost, root);
            } else {
                whole.push(root);
            }
            self.raw.add_members(root, lost);
        }
        for identifier in touched.inside {
            let root = self.raw.find(identifier);
            if !self.is_free(root, &separated) {
                whole.push(root);
            }
        }
        whole.extend(touched.dissolved.iter().map(|identifier| self.raw.find(*identifier)));
        whole.sort_unstable();
        whole.dedup();
        for root in whole {
            self.evaluate_whole(root, &separated)?;
        }
        Ok(())
    }

    /// Whether no rule can reject a link of a raw component.
    fn is_free(&self, root: u32, separated: &HashSet<u32>) -> bool {
        self.raw.keeps_limits(root) && !separated.contains(&root)
    }

    fn evaluate_whole(&mut self, root: u32, separated: &HashSet<u32>) -> Result<()> {
        if self.is_free(root, separated) {
            self.relabel(root, root);
            return Ok(());
        }
        let mut members: Vec<u32> = self.raw.ring(root).collect();
        members.sort_unstable();
        self.replay(&members)
    }

    /// Gives all identifiers of a ring to one customer.
    fn relabel(&mut self, ring: u32, customer: u32) {
        let stored = self.dictionary.len();
        for member in self.raw.ring(ring) {
            let before = std::mem::replace(&mut self.customers[member as usize], customer);
            if before != customer && member < stored {
                self.customers_before.entry(member).or_insert(before);
            }
        }
    }

    /// Applies the rules to one raw component, by its members in ascending order.
    fn replay(&mut self, members: &[u32]) -> Result<()> {
        let place_of = |identifier: u32| members.binary_search(&identifier).ok();
        let mut facts = Vec::with_capacity(members.len());
        let mut links = Vec::new();
        for (place, &member) in members.iter().enumerate() {
            facts.push(IdentifierFacts {
                namespace: self.namespaces[member as usize],
                hash: self.hash_of(member)?,
                blocked: self.blocked.contains(member),
            });
            for (high, valid_from_us) in self.links.links_of(member) {
                if let Some(other) = place_of(high) {
                    let (a, b) = (place as u32, other as u32);
                    links.push(Link { a, b, kind: LinkKind::Observed, valid_from_us });
                }
            }
        }
        for stated in &self.stated {
            if let (Some(a), Some(b)) = (place_of(stated.link.a), place_of(stated.link.b)) {
                links.push(Link { a: a as u32, b: b as u32, ..stated.link });
            }
        }
        let statements = Statements::of(&links);
        let is_shared = |place: u32| self.shared.contains(members[place as usize]);
        let (customer_of, _) = rules::connect(&facts, &links, &self.rules, &statements, &is_shared);
        for (&member, customer) in members.iter().zip(customer_of) {
            self.set_customer(member, members[customer as usize]);
        }
        Ok(())
    }

    fn set_customer(&mut self, identifier: u32, customer: u32) {
        let before = std::mem::replace(&mut self.customers[identifier as usize], customer);
        if before != customer && identifier < self.dictionary.len() {
            self.customers_before.entry(identifier).or_insert(before);
        }
    }

    /// The difference between the customers of the snapshot and those of now.
    fn changes(&self) -> IdentityChanges {
        let mut changes = IdentityChanges {
            identifiers_new: self.new.values.len() as u32,
            links_new: u64::from(self.links.len() - self.links_stored),
            links_earlier: self.earlier.len() as u64,
            ..IdentityChanges::default()
        };
        for (&identifier, &before) in &self.customers_before {
            let after = self.customers[identifier as usize];
            if before == after {
                continue;
            }
            changes.moved.push((identifier, after));
            changes.customers_changed.insert(before);
            changes.customers_changed.insert(after);
            changes.customers_new +=
                i64::from(after == identifier) - i64::from(before == identifier);
        }
        for identifier in self.dictionary.len()..self.identifiers() {
            let customer = self.customers[identifier as usize];
            changes.customers_changed.insert(customer);
            if customer == identifier {
                changes.customers_new += 1;
            } else {
                changes.moved.push((identifier, customer));
            }
        }
        changes.moved.sort_unstable();
        changes
    }
}
