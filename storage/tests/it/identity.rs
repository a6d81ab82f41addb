//! Identities through files: many commits, other processes, statements of people, other rules.

use arrow::array::{Array, AsArray, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::datatypes::UInt32Type;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::identity::rules::LinkKind;
use habitue_storage::identity::{IdentityChanges, NamedIdentifier, Statement, Stitcher};
use habitue_storage::log::action::Operation;
use habitue_storage::log::commit::{CommitOutcome, DraftCommit};
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Row = (i64, Option<&'static str>, Option<&'static str>);

async fn new_store() -> Store {
    let bucket = Bucket::open("memory://").await.unwrap();
    Store::create(bucket, Catalog::default()).await.unwrap()
}

/// Another process on the same database.
async fn reopened(store: &Store) -> Store {
    Store::open(store.bucket().clone()).await.unwrap()
}

/// Observes `(ts, user_id, anonymous_id)`.
fn observe(stitcher: &mut Stitcher, rows: &[Row]) -> UInt32Array {
    let users: StringArray = rows.iter().map(|row| row.1).collect();
    let anonymous: StringArray = rows.iter().map(|row| row.2).collect();
    let ts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0));
    let ids: StringArray = (0..rows.len()).map(|row| Some(format!("e{row}"))).collect();
    stitcher.observe(&[(0, &users), (3, &anonymous)], &ts, &ids).unwrap()
}

async fn draft(store: &Store, based_on: &Arc<Snapshot>, stitcher: &mut Stitcher) -> DraftCommit {
    let changes = stitcher.resolve().unwrap();
    DraftCommit {
        based_on: Arc::clone(based_on),
        operation: Operation::Ingest,
        events_added: 0,
        actions: stitcher.write(store, &changes).await.unwrap(),
    }
}

/// Commits rows as an ingest would.
async fn commit(store: &Store, rows: &[Row]) -> Arc<Snapshot> {
    let snapshot = store.snapshot().await.unwrap();
    let mut stitcher = Stitcher::load(store, &snapshot).await.unwrap();
    observe(&mut stitcher, rows);
    let draft = draft(store, &snapshot, &mut stitcher).await;
    match store.commit(draft).await.unwrap() {
        CommitOutcome::Committed(snapshot) => {
            stitcher.park(store, &snapshot);
            snapshot
        }
        CommitOutcome::Conflict { .. } => panic!("nobody else commits"),
    }
}

/// The customers as sets of values.
async fn customers(store: &Store) -> BTreeSet<BTreeSet<String>> {
    let snapshot = store.snapshot().await.unwrap();
    let map = store.identity_map(&snapshot).await.unwrap();
    let mut sets: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for batch in store.identifier_batches(&snapshot).await.unwrap() {
        let ids = batch.column(0).as_primitive::<UInt32Type>();
        let values = batch.column(2).as_string::<i32>();
        for (id, value) in ids.values().iter().zip(values) {
            let set = sets.entry(map.customer_of(*id)).or_default();
            set.insert(value.unwrap().to_owned());
        }
    }
    sets.into_values().collect()
}

fn sets(sets: &[&[&str]]) -> BTreeSet<BTreeSet<String>> {
    sets.iter().map(|set| set.iter().map(|value| (*value).to_owned()).collect()).collect()
}

/// `(a, b, kind, status, reason)` of all links.
async fn links(store: &Store) -> Vec<(u32, u32, String, String, Option<String>)> {
    let snapshot = store.snapshot().await.unwrap();
    let mut links = Vec::new();
    for batch in store.link_batches(&snapshot).await.unwrap() {
        let ends = |column: usize| batch.column(column).as_primitive::<UInt32Type>();
        let text = |column: usize, row: usize| {
            let column = batch.column(column).as_string::<i32>();
            (!column.is_null(row)).then(|| column.value(row).to_owned())
        };
        for row in 0..batch.num_rows() {
            let (kind, status) = (text(2, row).unwrap(), text(7, row).unwrap());
            links.push((ends(0).value(row), ends(1).value(row), kind, status, text(8, row)));
        }
    }
    links.sort();
    links
}

fn statement(kind: LinkKind) -> Statement {
    Statement { kind, reason: "called the shop".into(), source: "support".into() }
}

fn user(value: &str) -> NamedIdentifier {
    NamedIdentifier::new("user_id", value)
}

fn device(value: &str) -> NamedIdentifier {
    NamedIdentifier::new("anonymous_id", value)
}

const DEVICES: usize = 30;

fn name(prefix: &str, number: usize) -> &'static str {
    Box::leak(format!("{prefix}{number}").into_boxed_str())
}

fn random_rows(random: &mut ChaCha8Rng, rows: usize, devices: usize) -> Vec<Row> {
    let mut row = || {
        let user = name("u", random.random_range(0..devices * 4 / 3));
        let device = name("d", random.random_range(0..devices));
        let has_user = random.random_bool(0.6).then_some(user);
        let has_device = random.random_bool(0.8).then_some(device);
        (random.random_range(0..1000), has_user, has_device)
    };
    (0..rows).map(|_| row()).collect()
}

/// V2 through files. If this fails, who is who changes when a database is opened again.
#[tokio::test]
async fn many_small_commits_are_as_one_and_leave_few_files() {
    let seed = 7;
    println!("seed={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut store = new_store().await;
    let mut all = random_rows(&mut random, 600, 300);
    commit(&store, &all).await;
    for number in 0..120 {
        let rows = random_rows(&mut random, 3, 300);
        let snapshot = commit(&store, &rows).await;
        all.extend(rows);
        assert!(snapshot.dictionary_runs.len() < 12, "{}", snapshot.dictionary_runs.len());
        assert!(snapshot.link_files.len() < 12, "{}", snapshot.link_files.len());
        assert!(snapshot.identity_map.deltas.len() < 12, "{:?}", snapshot.identity_map);
        let map = store.identity_map(&snapshot).await.unwrap();
        assert_eq!(map.customers().len(), u64::from(snapshot.identity_map.customers));
        if number % 3 == 0 {
            store = reopened(&store).await;
            let fresh = store.identity_map(&snapshot).await.unwrap();
            assert_eq!(fresh.as_slice(), map.as_slice());
        }
    }
    let snapshot = store.snapshot().await.unwrap();
    let verified = store.verify_identities(&snapshot).await.unwrap();
    assert_eq!(verified, IdentityChanges::default());

    let at_once = new_store().await;
    let once = commit(&at_once, &all).await;
    let maps = (store.identity_map(&snapshot).await, at_once.identity_map(&once).await);
    assert_eq!(maps.0.unwrap().as_slice(), maps.1.unwrap().as_slice());
    let dictionary = reopened(&store).await.dictionary(&snapshot).await.unwrap();
    assert_eq!(dictionary.len(), snapshot.identifiers());
    assert_eq!(dictionary.find(3, "d0"), store.dictionary(&snapshot).await.unwrap().find(3, "d0"));
}

/// If this fails, a query `AS OF VERSION` shows people of another time.
#[tokio::test]
async fn older_versions_keep_their_customers() {
    let store = new_store().await;
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut maps = Vec::new();
    for _ in 0..25 {
        let snapshot = commit(&store, &random_rows(&mut random, 4, DEVICES)).await;
        let map = store.identity_map(&snapshot).await.unwrap();
        maps.push((snapshot, map.as_slice().to_vec()));
    }
    let other = reopened(&store).await;
    for (snapshot, map) in maps.iter().rev().chain(&maps) {
        assert_eq!(other.identity_map(snapshot).await.unwrap().as_slice(), map);
        let dictionary = other.dictionary(snapshot).await.unwrap();
        assert_eq!(dictionary.len(), snapshot.identifiers());
    }
}

/// If this fails, two ingests at the same time give one number to two people.
#[tokio::test]
async fn the_loser_of_a_race_takes_other_numbers() {
    let store = new_store().await;
    commit(&store, &[(1, Some("u0"), Some("d0"))]).await;
    let based_on = store.snapshot().await.unwrap();
    let mut mine = Stitcher::load(&store, &based_on).await.unwrap();
    let own = observe(&mut mine, &[(2, Some("u1"), Some("d1")), (3, None, Some("d2"))]);
    assert_eq!(own.values(), &[2, 4]);
    commit(&reopened(&store).await, &[(4, None, Some("d2")), (5, Some("u2"), Some("d1"))]).await;

    let lost = draft(&store, &based_on, &mut mine).await;
    let CommitOutcome::Conflict { snapshot, .. } = store.commit(lost).await.unwrap() else {
        panic!("both gave the same numbers");
    };
    let mut again = Stitcher::load(&store, &snapshot).await.unwrap();
    let remap = again.rebase(&mine).unwrap();
    assert!(!remap.is_identity());
    assert_eq!([0, 1, 2, 4].map(|id| remap.apply(id)), [0, 1, 5, 2]);
    let draft = draft(&store, &snapshot, &mut again).await;
    assert!(matches!(store.commit(draft).await.unwrap(), CommitOutcome::Committed(_)));
    let expected = sets(&[&["u0", "d0"], &["u1", "d1"], &["u2"], &["d2"]]);
    assert_eq!(customers(&store).await, expected);
}

/// V3. If this fails, undoing a mistake leaves traces.
#[tokio::test]
async fn link_then_unlink_gives_back_the_same_customers() {
    let store = new_store().await;
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut rows = random_rows(&mut random, 50, DEVICES);
    rows.extend((0..DEVICES).map(|device| (2000, None, Some(name("d", device)))));
    commit(&store, &rows).await;
    let before = store.snapshot().await.unwrap();
    let map_before = store.identity_map(&before).await.unwrap();
    let mut moved = 0;
    for (one, other) in [("d1", "d2"), ("d3", "d4"), ("d5", "d6"), ("d7", "d8")] {
        let (one, other) = (device(one), device(other));
        let linked = store.state(&one, &other, &statement(LinkKind::ManualForced)).await.unwrap();
        assert!(linked.are_one);
        moved += linked.changes.moved.len();
        let store = reopened(&store).await;
        store.state(&one, &other, &statement(LinkKind::ManualUnlink)).await.unwrap();
        let after = store.snapshot().await.unwrap();
        assert_eq!(store.identity_map(&after).await.unwrap().as_slice(), map_before.as_slice());
        assert_eq!(store.verify_identities(&after).await.unwrap(), IdentityChanges::default());
    }
    assert!(moved > 0);
}

/// If this fails, the next batch merges again what a person split.
#[tokio::test]
async fn a_separated_pair_stays_separated_whatever_comes() {
    let store = new_store().await;
    commit(&store, &[(1, Some("u0"), Some("d0"))]).await;
    store.state(&user("u0"), &device("d0"), &statement(LinkKind::ManualUnlink)).await.unwrap();
    assert_eq!(customers(&store).await, sets(&[&["u0"], &["d0"]]));
    let store = reopened(&store).await;
    commit(&store, &[(0, Some("u0"), Some("d0")), (2, Some("u0"), Some("d1"))]).await;
    assert_eq!(customers(&store).await, sets(&[&["u0", "d1"], &["d0"]]));
    let again = store.state(&user("u0"), &device("d0"), &statement(LinkKind::Manual)).await;
    assert!(again.unwrap().are_one);
    assert_eq!(customers(&store).await, sets(&[&["u0", "d0", "d1"]]));
}

/// V5. If this fails, two people share a customer and nobody can see why.
#[tokio::test]
async fn limits_hold_unless_forced_and_say_so() {
    let store = new_store().await;
    commit(&store, &[(1, Some("u0"), Some("d0")), (2, Some("u1"), Some("d0"))]).await;
    let refused = store.state(&user("u0"), &user("u1"), &statement(LinkKind::Manual)).await;
    assert!(!refused.unwrap().are_one);
    let said = links(&store).await;
    let reason = Some("a customer would hold more than 1 of user_id".to_owned());
    assert_eq!(said.len(), 3);
    assert_eq!(said[0].3, "accepted");
    assert_eq!(said[1], (0, 2, "manual_link".into(), "rejected".into(), reason.clone()));
    assert_eq!(said[2], (1, 2, "observed".into(), "rejected".into(), reason));
    let forced = store.state(&user("u0"), &user("u1"), &statement(LinkKind::ManualForced)).await;
    assert!(forced.unwrap().are_one);
    assert_eq!(customers(&store).await, sets(&[&["u0", "u1", "d0"]]));
    let forced = |link: &(u32, u32, String, String, Option<String>)| {
        link.2 == "manual_link_forced" && link.3 == "accepted"
    };
    assert!(links(&store).await.iter().any(forced));
}

#[tokio::test]
async fn a_shared_device_is_shown_as_such() {
    let store = new_store().await;
    let rows: Vec<Row> = (0..4).map(|user| (1, Some(name("u", user)), Some("d0"))).collect();
    commit(&store, &rows).await;
    let snapshot = store.snapshot().await.unwrap();
    let batches = store.identifier_batches(&snapshot).await.unwrap();
    let states: Vec<String> = batches
        .iter()
        .flat_map(|batch| batch.column(4).as_string::<i32>().iter().flatten())
        .map(str::to_owned)
        .collect();
    assert_eq!(states, ["live", "shared", "live", "live", "live"]);
    assert!(links(&store).await.iter().all(|link| link.3 == "shared" && link.4.is_some()));
}

#[tokio::test]
async fn statements_about_nobody_are_refused() {
    let store = new_store().await;
    commit(&store, &[(1, Some("u0"), Some("d0")), (2, Some("null"), None)]).await;
    let manual = statement(LinkKind::Manual);
    for (one, other, wanted) in [
        (user("u0"), user("u9"), "came with no event"),
        (user("u0"), user("NULL"), "never connects"),
        (user("u0"), user(" u0"), "the same"),
        (user("u0"), NamedIdentifier::new("fax", "1"), "there is no \"fax\""),
    ] {
        let error = store.state(&one, &other, &manual).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// If this fails, new rules hold for new links only.
#[tokio::test]
async fn changed_rules_hold_for_all_links_and_back() {
    let store = new_store().await;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    commit(&store, &random_rows(&mut random, 80, DEVICES)).await;
    let before = customers(&store).await;
    let plain = |namespaces: &mut Vec<habitue_storage::catalog::Namespace>| {
        namespaces[0].unique = false;
        namespaces[3].max_degree.clear();
        Ok(())
    };
    let snapshot = store.snapshot().await.unwrap();
    let simulated = store.simulate_namespaces(&snapshot, plain).await.unwrap();
    let changed = store.change_namespaces(plain).await.unwrap();
    assert!(!changed.changes.moved.is_empty());
    assert_eq!(changed.changes, simulated);
    let other = reopened(&store).await;
    assert_ne!(customers(&other).await, before);
    let verified = other.verify_identities(&changed.snapshot).await.unwrap();
    assert_eq!(verified, IdentityChanges::default());
    let back = |namespaces: &mut Vec<habitue_storage::catalog::Namespace>| {
        *namespaces = Catalog::default().namespaces;
        Ok(())
    };
    other.change_namespaces(back).await.unwrap();
    assert_eq!(customers(&store).await, before);
    let version = store.snapshot().await.unwrap().version;
    assert_eq!(store.rebuild_identities().await.unwrap().snapshot.version, version);
}

#[tokio::test]
async fn rules_that_would_change_own_identifiers_are_refused() {
    let store = new_store().await;
    let edits: [fn(&mut Vec<habitue_storage::catalog::Namespace>); 4] = [
        |namespaces| namespaces[3].tier = 1,
        |namespaces| namespaces[3].normalise.clear(),
        |namespaces| namespaces[0].blocked.push("U0".into()),
        |namespaces| namespaces[3].blocked.clear(),
    ];
    let nothing_there = store
        .change_namespaces(|namespaces| {
            namespaces[3].blocked.push("kiosk".into());
            Ok(())
        })
        .await;
    nothing_there.unwrap();
    commit(&store, &[(1, Some("u0"), Some("d0")), (1, Some("u0"), Some("KIOSK"))]).await;
    for edit in edits {
        let changed = store.change_namespaces(|namespaces| {
            edit(namespaces);
            Ok(())
        });
        let error = changed.await.unwrap_err().to_string();
        assert!(error.contains("own identifier"), "{error}");
    }
    let harmless = store.change_namespaces(|namespaces| {
        namespaces[0].blocked.push("u5".into());
        namespaces.push(habitue_storage::catalog::Namespace {
            name: "loyalty_card".into(),
            ..namespaces[1].clone()
        });
        Ok(())
    });
    assert!(harmless.await.unwrap().changes.moved.is_empty());
    let astray = store.change_namespaces(|namespaces| {
        namespaces[3].max_degree.insert("user".into(), 3);
        Ok(())
    });
    assert!(astray.await.unwrap_err().to_string().contains("not there"));
    assert_eq!(customers(&store).await, sets(&[&["u0", "d0"]]));
}
