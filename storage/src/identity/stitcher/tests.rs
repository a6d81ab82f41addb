//! The laws of identity against a slow model that works on values.

use super::*;
use crate::catalog::Namespace;
use crate::dictionary::identifier_hash;
use crate::identity::rules::{self, IdentifierFacts};
use arrow::array::{StringArray, TimestampMicrosecondArray};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_128;

type Identifier = (u16, String);
type Partition = BTreeSet<BTreeSet<Identifier>>;

#[derive(Clone, Debug)]
struct Event {
    ts_us: i64,
    /// By namespace number.
    values: Vec<Option<&'static str>>,
}

/// For each built-in namespace: as it comes, and normalised; `None` is a value that is blocked.
const VALUES: [&[(&str, Option<&str>)]; 5] = [
    &[
        ("u0", Some("u0")),
        (" u1", Some("u1")),
        ("u2 ", Some("u2")),
        ("u3", Some("u3")),
        ("NULL", None),
    ],
    &[
        ("A@x", Some("a@x")),
        ("a@x", Some("a@x")),
        ("b@x", Some("b@x")),
        ("c@x", Some("c@x")),
        ("n/a", None),
    ],
    &[("+49 1", Some("+491")), ("00491", Some("+491")), ("2", Some("2")), ("0-0", None)],
    &[
        ("d0", Some("d0")),
        ("d1", Some("d1")),
        ("d2", Some("d2")),
        ("d3", Some("d3")),
        ("'none'", None),
    ],
    &[("k0", Some("k0")), ("k1", Some("k1")), ("0000", None)],
];

fn events(random: &mut ChaCha8Rng) -> Vec<Event> {
    let count = random.random_range(1..50);
    let fill = random.random_range(0.2..0.7);
    let times = random.random_range(1..40);
    let mut event = || {
        let mut values = Vec::new();
        for choices in VALUES {
            let value = choices[random.random_range(0..choices.len())].0;
            values.push(random.random_bool(fill).then_some(value));
        }
        Event { ts_us: random.random_range(0..times), values }
    };
    (0..count).map(|_| event()).collect()
}

fn catalog(random: &mut ChaCha8Rng) -> Catalog {
    let mut catalog = Catalog::default();
    for namespace in &mut catalog.namespaces {
        namespace.max_degree = BTreeMap::new();
        namespace.unique = false;
    }
    let [user, email, phone, anonymous, device] = &mut catalog.namespaces[..] else { panic!() };
    user.unique = random.random_bool(0.7);
    email.max_per_customer = random.random_bool(0.4).then_some(2);
    phone.unique = random.random_bool(0.3);
    let mut limit = |namespace: &mut Namespace, target: &str, chance: f64, max: u32| {
        if random.random_bool(chance) {
            namespace.max_degree.insert(target.into(), random.random_range(1..=max));
        }
    };
    limit(anonymous, "user_id", 0.6, 3);
    limit(anonymous, "email", 0.3, 2);
    limit(device, "user_id", 0.6, 3);
    limit(device, "anonymous_id", 0.3, 3);
    limit(user, "device_id", 0.2, 1);
    catalog
}

fn normalised(namespace: u16, value: &str) -> Option<&'static str> {
    let choices = VALUES[usize::from(namespace)];
    choices.iter().find(|(raw, _)| *raw == value).unwrap().1
}

/// The partition that the rules make of a set of events, found the slow way.
fn model(events: &[Event], catalog: &Catalog) -> Partition {
    let tier = |identifier: &Identifier| catalog.namespaces[usize::from(identifier.0)].tier;
    let mut known: BTreeSet<Identifier> = BTreeSet::new();
    let mut alone: Partition = BTreeSet::new();
    let mut links: BTreeMap<(Identifier, Identifier), i64> = BTreeMap::new();
    for event in events {
        let mut carried = Vec::new();
        let mut blocked = Vec::new();
        for (number, value) in (0_u16..).zip(&event.values) {
            let Some(value) = value else { continue };
            match normalised(number, value) {
                Some(normalised) => carried.push((number, normalised.to_owned())),
                None => blocked.push((number, value.to_lowercase())),
            }
        }
        carried.sort_by_key(|identifier| (tier(identifier), identifier.0));
        blocked.sort_by_key(|identifier| (tier(identifier), identifier.0));
        match carried.split_first() {
            None => alone.extend(blocked.first().map(|own| BTreeSet::from([strip(own)]))),
            Some((own, others)) => {
                for other in others {
                    let mut pair = [own.clone(), other.clone()];
                    pair.sort();
                    let [a, b] = pair;
                    let earliest = links.entry((a, b)).or_insert(event.ts_us);
                    *earliest = event.ts_us.min(*earliest);
                }
            }
        }
        known.extend(carried);
    }
    let mut partition = joined(known, &links, catalog);
    partition.append(&mut alone);
    partition
}

fn strip(own: &Identifier) -> Identifier {
    let raw = VALUES[usize::from(own.0)].iter().find(|(_, normal)| normal.is_none()).unwrap().0;
    (
        own.0,
        if own.0 == 2 {
            raw.replace('-', "")
        } else if own.0 == 1 {
            raw.to_lowercase()
        } else {
            raw.into()
        },
    )
}

fn joined(
    known: BTreeSet<Identifier>,
    links: &BTreeMap<(Identifier, Identifier), i64>,
    catalog: &Catalog,
) -> Partition {
    let space = |identifier: &Identifier| &catalog.namespaces[usize::from(identifier.0)];
    let is_shared = |identifier: &Identifier| {
        space(identifier).max_degree.iter().any(|(name, max)| {
            let mut others = BTreeSet::new();
            for (a, b) in links.keys() {
                others.extend((a == identifier && space(b).name == *name).then_some(b));
                others.extend((b == identifier && space(a).name == *name).then_some(a));
            }
            others.len() > *max as usize
        })
    };
    let mut order: Vec<_> = links
        .iter()
        .map(|((a, b), ts_us)| {
            let (tier_a, tier_b) = (space(a).tier, space(b).tier);
            let mut hashes = [identifier_hash(a.0, &a.1), identifier_hash(b.0, &b.1)];
            hashes.sort();
            let content = xxh3_128(&hashes.map(u128::to_le_bytes).concat());
            (tier_a.min(tier_b), tier_a.max(tier_b), *ts_us, content, a, b)
        })
        .collect();
    order.sort();
    let mut sets: Vec<BTreeSet<Identifier>> =
        known.into_iter().map(|identifier| BTreeSet::from([identifier])).collect();
    for (_, _, _, _, a, b) in order {
        let set_a = sets.iter().position(|set| set.contains(a)).unwrap();
        let set_b = sets.iter().position(|set| set.contains(b)).unwrap();
        if is_shared(a) || is_shared(b) || set_a == set_b {
            continue;
        }
        let both: BTreeSet<Identifier> = sets[set_a].union(&sets[set_b]).cloned().collect();
        let keeps_limits = catalog.namespaces.iter().zip(0_u16..).all(|(namespace, number)| {
            let max = if namespace.unique { Some(1) } else { namespace.max_per_customer };
            let held = both.iter().filter(|identifier| identifier.0 == number).count();
            max.is_none_or(|max| held <= max as usize)
        });
        if keeps_limits {
            sets[set_a] = both;
            sets.remove(set_b);
        }
    }
    sets.into_iter().collect()
}

/// A stitcher with all the values that it ever numbered.
struct Run {
    stitcher: Stitcher,
    identifiers: Vec<Identifier>,
    own: Vec<Option<Identifier>>,
    seen: usize,
}

impl Run {
    fn new(catalog: &Catalog) -> Self {
        let stitcher = Stitcher::new(catalog);
        Self { stitcher, identifiers: Vec::new(), own: Vec::new(), seen: 0 }
    }

    fn observe(&mut self, events: &[Event]) {
        let columns: Vec<StringArray> = (0..VALUES.len())
            .map(|number| events.iter().map(|event| event.values[number]).collect())
            .collect();
        let numbered: Vec<(u16, &StringArray)> = (0_u16..).zip(&columns).collect();
        let ts =
            TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.ts_us));
        let ids = (self.seen..).take(events.len()).map(|id| Some(format!("e{id}")));
        self.seen += events.len();
        let own = self.stitcher.observe(&numbered, &ts, &ids.collect()).unwrap();
        let new = &self.stitcher.new;
        let stored = self.stitcher.identifiers_committed() as usize;
        for place in self.identifiers.len() - stored..new.values.len() {
            self.identifiers.push((new.namespaces[place], new.values[place].to_string()));
        }
        self.own.extend(own.iter().map(|own| Some(self.identifiers[own? as usize].clone())));
    }

    fn partition(&self) -> Partition {
        let mut sets: BTreeMap<u32, BTreeSet<Identifier>> = BTreeMap::new();
        for (identifier, &customer) in self.identifiers.iter().zip(self.stitcher.customers()) {
            sets.entry(customer).or_default().insert(identifier.clone());
        }
        sets.into_values().collect()
    }

    /// Resolves and checks what is said to have changed.
    fn commit(&mut self, before: &[u32]) {
        let changes = self.stitcher.resolve().unwrap();
        let after = self.stitcher.customers().to_vec();
        let mut applied = before.to_vec();
        applied.extend(before.len() as u32..after.len() as u32);
        for &(identifier, customer) in &changes.moved {
            applied[identifier as usize] = customer;
        }
        assert_eq!(applied, after);
        assert_eq!(changes.customers_new, count(&after) - count(before));
        let changed: RoaringBitmap = (0..after.len() as u32)
            .filter(|customer| members(before, *customer) != members(&after, *customer))
            .collect();
        assert_eq!(changes.customers_changed, changed);
        for (identifier, &customer) in after.iter().enumerate() {
            assert_eq!(members(&after, customer)[0], customer, "smallest of {identifier}");
        }
        self.stitcher.settle();
    }
}

fn count(customers: &[u32]) -> i64 {
    customers.iter().zip(0..).filter(|(customer, identifier)| **customer == *identifier).count()
        as i64
}

fn members(customers: &[u32], customer: u32) -> Vec<u32> {
    (0_u32..).zip(customers).filter(|(_, found)| **found == customer).map(|(id, _)| id).collect()
}

/// Feeds events in batches and commits at random places.
fn stitched(events: &[Event], catalog: &Catalog, random: &mut ChaCha8Rng) -> Run {
    let mut run = Run::new(catalog);
    let mut rest = events;
    while !rest.is_empty() {
        let before = run.stitcher.customers().to_vec();
        for _ in 0..random.random_range(1..4) {
            let (batch, later) = rest.split_at(random.random_range(0..=rest.len()));
            run.observe(batch);
            rest = later;
        }
        run.commit(&before);
    }
    run
}

fn seeds() -> std::ops::Range<u64> {
    let runs = std::env::var("HABITUE_LAW_RUNS").ok().and_then(|runs| runs.parse().ok());
    0..runs.unwrap_or(150)
}

/// V1, V2, V5, V7. If this fails, who is who depends on the order in which files were loaded.
#[test]
fn any_order_and_any_batching_give_the_customers_of_the_model() {
    for seed in seeds() {
        println!("seed={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let catalog = catalog(&mut random);
        let mut events = events(&mut random);
        let expected = model(&events, &catalog);
        for _ in 0..4 {
            let run = stitched(&events, &catalog, &mut random);
            assert_eq!(run.partition(), expected);
            events.shuffle(&mut random);
        }
        for customer in &expected {
            let users = customer.iter().filter(|identifier| identifier.0 == 0).count();
            assert!(users <= 1 || !catalog.namespaces[0].unique);
            assert!(customer.len() == 1 || customer.iter().all(|(_, value)| value != "NULL"));
        }
    }
}

/// If this fails, the same file gives other customer numbers when it is read in other portions.
#[test]
fn numbers_do_not_depend_on_batches_and_commits() {
    for seed in seeds() {
        println!("seed={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let catalog = catalog(&mut random);
        let events = events(&mut random);
        let mut at_once = Run::new(&catalog);
        at_once.observe(&events);
        at_once.commit(&[]);
        let run = stitched(&events, &catalog, &mut random);
        assert_eq!(run.identifiers, at_once.identifiers);
        assert_eq!(run.stitcher.customers(), at_once.stitcher.customers());
        assert_eq!(run.own, at_once.own);
    }
}

/// V2. If this fails, `REBUILD IDENTITIES VERIFY` reports differences in a sound database.
#[test]
fn a_rebuild_changes_nothing() {
    for seed in seeds() {
        println!("seed={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let catalog = catalog(&mut random);
        let mut run = stitched(&events(&mut random), &catalog, &mut random);
        let customers = run.stitcher.customers().to_vec();
        assert_eq!(run.stitcher.rebuild().unwrap(), IdentityChanges::default());
        assert_eq!(run.stitcher.customers(), customers);
        // What was built from files must go on as well as what grew.
        run.stitcher.settle();
        let more = events(&mut random);
        run.observe(&more);
        run.commit(&customers);
    }
}

/// If this fails, two processes that ingest at the same time mix up people.
#[test]
fn a_rebased_stitcher_knows_what_both_writers_saw() {
    for seed in seeds() {
        println!("seed={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let catalog = catalog(&mut random);
        let [first, theirs, mine] = [0; 3].map(|_| events(&mut random));
        let (mut loser, mut winner) = (Run::new(&catalog), Run::new(&catalog));
        for run in [&mut loser, &mut winner] {
            run.observe(&first);
            run.commit(&[]);
        }
        loser.observe(&mine);
        loser.stitcher.resolve().unwrap();
        winner.observe(&theirs);
        let before = winner.stitcher.customers().to_vec();
        winner.commit(&before);

        let before = winner.stitcher.customers().to_vec();
        let remap = winner.stitcher.rebase(&loser.stitcher).unwrap();
        let new = &winner.stitcher.new;
        let added =
            (0..new.values.len()).map(|at| (new.namespaces[at], new.values[at].to_string()));
        winner.identifiers.extend(added);
        for (number, identifier) in (0_u32..).zip(&loser.identifiers) {
            assert_eq!(&winner.identifiers[remap.apply(number) as usize], identifier);
        }
        winner.commit(&before);
        assert_eq!(winner.partition(), model(&[first, theirs, mine].concat(), &catalog));
    }
}

/// Things that people may say about identifiers that are there.
fn statements(random: &mut ChaCha8Rng, identifiers: u32) -> Vec<StatedLink> {
    let kinds = [
        LinkKind::Manual,
        LinkKind::ManualForced,
        LinkKind::ManualUnlink,
        LinkKind::ManualUnlink,
        LinkKind::Probabilistic,
    ];
    let mut stated = Vec::new();
    for _ in 0..random.random_range(1..8) {
        let ends = [0; 2].map(|_| random.random_range(0..identifiers));
        let kind = kinds[random.random_range(0..kinds.len())];
        let valid_from_us = random.random_range(0..5);
        let link = Link { a: ends[0].min(ends[1]), b: ends[0].max(ends[1]), kind, valid_from_us };
        let (source, reason) = (String::new(), String::new());
        let said = StatedLink { link, source, reason, weight: 1.0, is_stored: true };
        stated.extend((ends[0] != ends[1]).then_some(said));
    }
    stated
}

/// What the rules make of all that a stitcher knows, at once and in some order.
fn resolved(run: &Run, random: &mut ChaCha8Rng) -> rules::Resolution {
    let stitcher = &run.stitcher;
    let facts: Vec<IdentifierFacts> = (0_u32..)
        .zip(&run.identifiers)
        .map(|(number, (namespace, value))| IdentifierFacts {
            namespace: *namespace,
            hash: identifier_hash(*namespace, value),
            blocked: stitcher.blocked.contains(number),
        })
        .collect();
    let mut links: Vec<Link> = stitcher.stated.iter().map(|stated| stated.link).collect();
    links.extend((0..stitcher.links.len()).map(|place| {
        let (a, b) = stitcher.links.pair(place);
        let valid_from_us = stitcher.links.valid_from_us(place);
        Link { a, b, kind: LinkKind::Observed, valid_from_us }
    }));
    links.shuffle(random);
    rules::resolve(&facts, &links, &stitcher.rules)
}

/// Rule 5 with V1, V2, V5, V7. If this fails, what a person said holds until the next batch only.
#[test]
fn what_people_said_holds_whatever_comes_later() {
    for seed in seeds() {
        println!("seed={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let catalog = catalog(&mut random);
        let mut run = stitched(&events(&mut random), &catalog, &mut random);
        let stated = statements(&mut random, run.stitcher.identifiers());
        let is_forced = stated.iter().any(|stated| stated.link.kind == LinkKind::ManualForced);
        run.stitcher.set_stated(stated);
        run.stitcher.rebuild().unwrap();
        run.stitcher.settle();
        for _ in 0..3 {
            let resolution = resolved(&run, &mut random);
            assert_eq!(run.stitcher.customers(), resolution.customer_of);
            assert_eq!(run.stitcher.shared.iter().collect::<Vec<_>>(), resolution.shared);
            for (a, b) in run.stitcher.statements.separated() {
                let customers = run.stitcher.customers();
                assert_ne!(customers[a as usize], customers[b as usize]);
            }
            for customer in run.partition() {
                let users = customer.iter().filter(|identifier| identifier.0 == 0).count();
                assert!(users <= 1 || !catalog.namespaces[0].unique || is_forced);
                assert!(customer.len() == 1 || customer.iter().all(|(_, value)| value != "NULL"));
            }
            let before = run.stitcher.customers().to_vec();
            let more = events(&mut random);
            run.observe(&more);
            run.commit(&before);
        }
    }
}

fn event(ts_us: i64, user: Option<&'static str>, anonymous: Option<&'static str>) -> Event {
    Event { ts_us, values: vec![user, None, None, anonymous, None] }
}

/// Without limits nothing may be replayed: that is the path that has to be fast.
#[test]
fn plain_components_are_never_replayed() {
    let mut catalog = Catalog::default();
    for namespace in &mut catalog.namespaces {
        namespace.unique = false;
        namespace.max_degree.clear();
    }
    let mut run = Run::new(&catalog);
    run.observe(&[event(5, Some("u0"), Some("d0")), event(3, Some(" u1"), Some("d0"))]);
    run.observe(&[event(1, Some("u0"), Some("d0"))]);
    assert!(!run.stitcher.may_reject() && run.stitcher.degrees.is_empty());
    run.commit(&[]);
    assert_eq!(run.stitcher.customers(), [0, 0, 0]);
}

#[test]
fn a_device_of_too_many_people_lets_go_of_those_it_had() {
    let mut catalog = Catalog::default();
    catalog.namespaces[0].unique = false;
    catalog.namespaces[3].max_degree = BTreeMap::from([("user_id".into(), 2)]);
    let mut run = Run::new(&catalog);
    run.observe(&[event(1, Some("u0"), Some("d0")), event(2, Some(" u1"), Some("d0"))]);
    run.commit(&[]);
    assert_eq!(run.stitcher.customers(), [0, 0, 0]);
    run.observe(&[event(3, Some("u2 "), Some("d0"))]);
    run.commit(&[0, 0, 0]);
    assert_eq!(run.stitcher.customers(), [0, 1, 2, 3]);
}

#[test]
fn an_earlier_link_wins_over_the_one_that_came_first() {
    let mut run = Run::new(&Catalog::default());
    run.observe(&[event(10, Some("u0"), Some("d0")), event(20, Some(" u1"), Some("d0"))]);
    run.commit(&[]);
    assert_eq!(run.stitcher.customers(), [0, 0, 2]);
    run.observe(&[event(5, Some(" u1"), Some("d0"))]);
    run.commit(&[0, 0, 2]);
    assert_eq!(run.stitcher.customers(), [0, 1, 1]);
}

#[test]
fn an_event_with_blocked_values_only_is_counted_and_connects_nobody() {
    let mut run = Run::new(&Catalog::default());
    run.observe(&[
        event(1, Some("NULL"), Some("d0")),
        event(2, Some("NULL"), None),
        event(3, Some("NULL"), Some("d1")),
        event(4, None, None),
    ]);
    run.commit(&[]);
    let own = |namespace: u16, value: &str| Some((namespace, value.to_owned()));
    assert_eq!(run.own, [own(3, "d0"), own(0, "NULL"), own(3, "d1"), None]);
    assert_eq!(run.stitcher.customers(), [0, 1, 2]);
    assert_eq!(run.stitcher.blocked.iter().collect::<Vec<_>>(), [1]);
}
