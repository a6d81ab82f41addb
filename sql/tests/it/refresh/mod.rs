//! The law of refreshing: whatever happened since, a refresh finds the members that the definition
//! has now. Breaks for a user if this fails: people stay in segments that they should have left.

mod definitions;

use self::definitions::{DEFINITIONS, Refresh};
use crate::small_shop::{rows_of, value_of};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_sql::{Database, DatabaseOptions, Session};
use habitue_storage::bucket::{Bucket, Environment};
use habitue_storage::catalog::Catalog;
use habitue_storage::compaction::CompactionOptions;
use habitue_storage::store::Store;
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// A machine whose clock the test moves.
#[derive(Debug)]
struct MovedClock(AtomicI64);

impl MovedClock {
    fn move_by(&self, time: TimeDelta) {
        self.0.fetch_add(time.num_microseconds().unwrap(), Ordering::Relaxed);
    }
}

impl Environment for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        // Nothing here waits for anybody.
        futures::future::pending().boxed()
    }
}

struct Shop {
    database: Database,
    session: Session,
    clock: Arc<MovedClock>,
    random: StdRng,
    events: usize,
    /// How many versions were computed from what changed, and how many from everything.
    versions: [usize; 2],
}

impl Shop {
    async fn open(seed: u64) -> Self {
        let start: DateTime<Utc> = "2026-06-01T12:00:00.123456Z".parse().unwrap();
        let clock = Arc::new(MovedClock(AtomicI64::new(start.timestamp_micros())));
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::with_environment(store, "memory://", clock.clone());
        let store = Store::create(bucket, Catalog::default()).await.unwrap();
        let options =
            DatabaseOptions { memory_bytes_max: 256 << 20, threads: 2, ..Default::default() };
        let database = Database::new(store, options).unwrap();
        let session = database.session();
        let random = StdRng::seed_from_u64(seed);
        Self { database, session, clock, random, events: 0, versions: [0, 0] }
    }

    async fn run(&self, sql: &str) {
        rows_of(&self.session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn insert(&mut self, count: usize) {
        let mut rows = String::new();
        for _ in 0..count {
            self.events += 1;
            let random = &mut self.random;
            let user = match random.random_range(0..10) {
                0..4 => "NULL".to_owned(),
                _ => format!("'u{}'", random.random_range(0..14)),
            };
            let device = match random.random_range(0..10) {
                0..3 => "NULL".to_owned(),
                _ => format!("'d{}'", random.random_range(0..30)),
            };
            let event = ["visit", "visit", "purchase", "refund"][random.random_range(0..4)];
            // Mostly the last weeks, some in the future, and often to the second of the boundaries.
            let days = random.random_range(-3..45);
            let seconds = [0, 0, random.random_range(0..86_400)][random.random_range(0..3)];
            let ts = self.clock.now() - TimeDelta::days(days) - TimeDelta::seconds(seconds);
            let ts = ts.to_rfc3339();
            let amount = match random.random_range(0..4) {
                0 => "NULL".to_owned(),
                _ => format!("'{}'", random.random_range(-10..50)),
            };
            let id = self.events;
            write!(rows, ", ('e{id}', '{ts}', '{event}', {user}, {device}, {amount})").unwrap();
        }
        let columns = "(event_id, ts, event, user_id, anonymous_id, amount)";
        let rows = rows.trim_start_matches(", ");
        self.run(&format!("INSERT INTO events {columns} VALUES {rows}")).await;
    }

    async fn something_happens(&mut self) {
        match self.random.random_range(0..10) {
            0..4 => {
                let count = self.random.random_range(1..4);
                self.insert(count).await;
            }
            4..6 => {
                let hours = self.random.random_range(1..24 * 8);
                self.clock.move_by(TimeDelta::hours(hours));
            }
            6 | 7 => {
                let (user, device) =
                    (self.random.random_range(0..14), self.random.random_range(0..30));
                let (verb, to) = match self.random.random() {
                    true => ("LINK", "TO"),
                    false => ("UNLINK", "FROM"),
                };
                let sql = format!("{verb} user_id 'u{user}' {to} anonymous_id 'd{device}'");
                // Identifiers that nobody has seen yet are refused.
                let _ = rows_of(&self.session, &sql).await;
            }
            8 => {
                let options = CompactionOptions::default();
                self.database.store().compact(options, |_| {}).await.unwrap();
            }
            _ => {
                let (name, _, _) = DEFINITIONS[self.random.random_range(0..5)];
                let (_, _, sql) = DEFINITIONS[self.random.random_range(0..5)];
                self.run(&format!("CREATE OR REPLACE SEGMENT {name} AS {sql}")).await;
            }
        }
    }

    /// The members that the definition has now, computed by no refresh.
    async fn wanted(&self, name: &str) -> BTreeSet<i64> {
        let sql = "SELECT definition FROM system.segments WHERE name = ";
        let definition = value_of(&self.session, &format!("{sql}'{name}'")).await;
        let now = self.clock.now();
        let definition = definition
            .replace("now()", &format!("TIMESTAMP '{}'", now.format("%FT%T%.6fZ")))
            .replace("current_date", &format!("DATE '{}'", now.format("%F")));
        assert!(!definition.contains("now"));
        self.customers(&definition).await
    }

    async fn customers(&self, sql: &str) -> BTreeSet<i64> {
        let rows = rows_of(&self.session, sql).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten())
            .collect()
    }

    async fn check(&mut self, name: &str, context: &str) {
        let found = self.customers(&format!("SELECT customer_id FROM segment('{name}')")).await;
        assert_eq!(found, self.wanted(name).await, "{context}: {name}");
        let sql = "SELECT count(customers_evaluated) FROM (SELECT * FROM system.segment_versions \
                   WHERE name = ";
        let sql = format!("{sql}'{name}' ORDER BY version DESC LIMIT 1)");
        let partly = value_of(&self.session, &sql).await == "1";
        self.versions[usize::from(!partly)] += 1;
    }

    async fn refresh(&mut self, context: &str) {
        if self.random.random_bool(0.3) {
            let (name, _, _) = DEFINITIONS[self.random.random_range(0..DEFINITIONS.len())];
            self.run(&format!("REFRESH SEGMENT {name}")).await;
            self.check(name, context).await;
            return;
        }
        self.run("REFRESH ALL SEGMENTS").await;
        for (name, _, _) in DEFINITIONS {
            self.check(name, context).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_finds_what_the_definition_says_after_any_history() {
    let seeds = std::env::var("HABITUE_REFRESH_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    let mut versions = [0, 0];
    for seed in 0..seeds {
        let mut shop = Shop::open(seed).await;
        shop.insert(60).await;
        for (name, _, sql) in DEFINITIONS {
            shop.run(&format!("CREATE SEGMENT {name} AS {sql}")).await;
        }
        for step in 0..10 {
            for _ in 0..shop.random.random_range(1..3) {
                shop.something_happens().await;
            }
            shop.refresh(&format!("seed {seed}, step {step}")).await;
        }
        for (sum, count) in versions.iter_mut().zip(shop.versions) {
            *sum += count;
        }
    }
    println!("{} versions from what changed, {} from everything", versions[0], versions[1]);
    assert!(versions[0] > versions[1], "hardly anything was computed from what changed");
}

#[tokio::test]
async fn show_segments_says_whom_a_refresh_evaluates() {
    let shop = Shop::open(1).await;
    for (name, wanted, sql) in DEFINITIONS {
        shop.run(&format!("CREATE SEGMENT {name} AS {sql}")).await;
        let sql = format!("SELECT refresh FROM system.segments WHERE name = '{name}'");
        let shown = value_of(&shop.session, &sql).await;
        let whom = match wanted {
            Refresh::Changed => "who changed",
            Refresh::Everybody => "everybody: it ",
        };
        assert!(shown.starts_with(whom), "{name}: {shown}");
    }
}

/// Breaks for a user if this fails: who merged stays out of segments that read the one they left.
#[tokio::test]
async fn who_leaves_under_an_old_number_has_changed_for_segments_that_read_it() {
    let mut shop = Shop::open(3).await;
    let now = shop.clock.now().to_rfc3339();
    let insert = "INSERT INTO events (event_id, ts, event, user_id, anonymous_id) VALUES";
    shop.run(&format!("{insert} ('a', '{now}', 'visit', 'a', NULL)")).await;
    shop.run(&format!("{insert} ('b', '{now}', 'bought', NULL, 'd')")).await;
    shop.insert(40).await;
    let recent = "SELECT customer_id FROM events \
                  WHERE event = 'bought' AND ts > now() - INTERVAL '1 day'";
    shop.run(&format!("CREATE SEGMENT recent AS {recent}")).await;
    let others =
        "SELECT customer_id FROM customers EXCEPT SELECT customer_id FROM segment('recent')";
    shop.run(&format!("CREATE SEGMENT others AS {others}")).await;
    shop.run("LINK user_id 'a' TO anonymous_id 'd'").await;
    shop.run("REFRESH SEGMENT others").await;
    let members = "SELECT customer_id FROM segment('others')";
    let merged = 0;
    assert!(!shop.customers(members).await.contains(&merged));
    shop.clock.move_by(TimeDelta::days(2));
    shop.run("REFRESH SEGMENT recent").await;
    assert_eq!(looked_at(&shop, "others").await, ["1", "0"]);
    assert!(shop.customers(members).await.contains(&merged));
}

/// Breaks for a user if this fails: late events of people whom nobody knew are overlooked.
#[tokio::test]
async fn a_first_event_can_make_a_member_although_more_events_only_throw_out() {
    let mut shop = Shop::open(4).await;
    shop.insert(40).await;
    let early = "SELECT customer_id FROM events GROUP BY customer_id \
                 HAVING max(ts) < TIMESTAMP '2026-02-01T00:00:00Z'";
    shop.run(&format!("CREATE SEGMENT early AS {early}")).await;
    let event = "INSERT INTO events (event_id, ts, event, user_id) VALUES";
    shop.run(&format!("{event} ('a', '2026-01-01', 'visit', 'new')")).await;
    assert_eq!(looked_at(&shop, "early").await, ["1", "1"]);
    assert_eq!(shop.customers("SELECT customer_id FROM segment('early')").await.len(), 1);
    shop.run(&format!("{event} ('b', '2026-03-01', 'visit', 'new')")).await;
    assert_eq!(looked_at(&shop, "early").await, ["0", "1"]);
    assert!(shop.customers("SELECT customer_id FROM segment('early')").await.is_empty());
}

/// Breaks for a user if this fails: who gets a second device is missed by segments about devices.
#[tokio::test]
async fn who_gets_another_identifier_has_changed_for_segments_that_ask_for_identifiers() {
    let mut shop = Shop::open(6).await;
    shop.insert(40).await;
    let event = "INSERT INTO events (event_id, ts, event, user_id, anonymous_id) VALUES";
    shop.run(&format!("{event} ('a', '2026-01-01', 'purchase', 'new', NULL)")).await;
    let several = "SELECT customer_id FROM events WHERE user_id = 'new' GROUP BY customer_id HAVING \
                   identifier_count(customer_id) > 1 \
                   AND count(*) FILTER (WHERE event = 'purchase') > 0";
    shop.run(&format!("CREATE SEGMENT several AS {several}")).await;
    let members = "SELECT customer_id FROM segment('several')";
    assert!(shop.customers(members).await.is_empty());
    // No event of this kind counts; only that there is a device makes the difference.
    shop.run(&format!("{event} ('b', '2026-01-02', 'visit', 'new', 'new device')")).await;
    assert_eq!(looked_at(&shop, "several").await, ["1", "1"]);
    assert_eq!(shop.customers(members).await.len(), 1);
}

/// Breaks for a user if this fails: what came in before a compaction is forgotten.
#[tokio::test]
async fn events_that_were_merged_with_older_ones_are_still_new() {
    let mut shop = Shop::open(5).await;
    shop.insert(40).await;
    let returned = "SELECT customer_id FROM events WHERE event = 'returned'";
    shop.run(&format!("CREATE SEGMENT returned AS {returned}")).await;
    let now = shop.clock.now().to_rfc3339();
    let event = "INSERT INTO events (event_id, ts, event, user_id) VALUES";
    shop.run(&format!("{event} ('a', '{now}', 'returned', 'u1')")).await;
    let done = shop.database.store().compact(CompactionOptions::default(), |_| {}).await.unwrap();
    assert!(done.files_removed > 0);
    assert_eq!(looked_at(&shop, "returned").await, ["0", "1"]);
    assert_eq!(shop.customers("SELECT customer_id FROM segment('returned')").await.len(), 1);
}

/// Breaks for a user if this fails: many segments at once are refreshed no faster than for all whose
/// events came in.
#[tokio::test]
async fn many_definitions_ask_the_new_events_as_few_do() {
    let mut shop = Shop::open(7).await;
    shop.insert(200).await;
    for number in 0..25 {
        let event = ["purchase", "refund", "visit", "return", "call"][number % 5];
        let days = 60 + number / 5;
        let filter =
            format!("event = '{event}' AND ts >= TIMESTAMP '2026-06-01' - INTERVAL '{days}' DAY");
        let sql = format!(
            "CREATE SEGMENT s{number} AS SELECT customer_id FROM events GROUP BY \
                           customer_id HAVING count(*) FILTER (WHERE {filter}) >= 3"
        );
        shop.run(&sql).await;
    }
    let columns = "(event_id, ts, event, user_id)";
    shop.run(&format!(
        "INSERT INTO events {columns} VALUES ('n1', '2026-05-30', 'visit', 'u1'), \
                       ('n2', '2026-05-30', 'other', 'u2'), ('n3', '2026-01-30', 'call', 'u3')"
    ))
    .await;
    shop.run("REFRESH ALL SEGMENTS").await;
    let sql = "SELECT max(customers_evaluated) FROM system.segment_versions WHERE new_events = 3";
    assert_eq!(value_of(&shop.session, sql).await, "1");
}

/// Breaks for a user if this fails: a batch job that refreshes segments reads all events again.
#[tokio::test]
async fn a_refresh_reads_what_came_in() {
    let bucket = Bucket::open("memory://").await.unwrap();
    let store = Store::create(bucket.clone(), Catalog::default()).await.unwrap();
    let events = |from: usize, to: usize| {
        format!(
            "INSERT INTO events (event_id, ts, event, channel, user_id) SELECT 'e' || value, \
             to_timestamp(value * 60), CASE WHEN value % 9 = 0 THEN 'buy' ELSE 'view' END, \
             'c' || (value % 3), 'u' || (value * value % 4999) FROM generate_series({from}, {to})"
        )
    };
    // Each statement is a process of its own: nothing is kept from one to the next.
    let bytes_of = async |sql: &str| {
        let before = bucket.bytes_read();
        let store = Store::open(bucket.clone()).await.unwrap();
        let session = Database::new(store, DatabaseOptions::default()).unwrap().session();
        rows_of(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        bucket.bytes_read() - before
    };
    bytes_of(&events(1, 40_000)).await;
    store.compact(CompactionOptions::default(), |_| {}).await.unwrap();
    bytes_of(
        "CREATE SEGMENT buyers AS SELECT customer_id FROM events GROUP BY customer_id \
         HAVING count(*) FILTER (WHERE event = 'buy') >= 1",
    )
    .await;
    bytes_of(&events(40_001, 40_400)).await;
    let explained = "EXPLAIN ANALYZE SELECT customer_id FROM events GROUP BY customer_id \
                     HAVING count(*) FILTER (WHERE event = 'buy') >= 1";
    let (opening, whole) = (bytes_of("SELECT 1").await, bytes_of(explained).await);
    let refresh = bytes_of("REFRESH SEGMENT buyers").await;
    assert!(refresh - opening < (whole - opening) / 4, "{refresh} {whole} {opening}");
}

/// What a refresh says that it looked at: customers and new events.
async fn looked_at(shop: &Shop, name: &str) -> [String; 2] {
    shop.run(&format!("REFRESH SEGMENT {name}")).await;
    let newest =
        format!("FROM system.segment_versions WHERE name = '{name}' ORDER BY version DESC LIMIT 1");
    let evaluated = format!("SELECT customers_evaluated {newest}");
    let new = format!("SELECT new_events {newest}");
    [value_of(&shop.session, &evaluated).await, value_of(&shop.session, &new).await]
}

#[tokio::test]
async fn a_refresh_evaluates_those_of_whom_new_events_leave_something_open() {
    let mut shop = Shop::open(2).await;
    shop.insert(200).await;
    let having = |name: &str, having: &str| {
        let grouped = "SELECT customer_id FROM events GROUP BY customer_id HAVING";
        format!("CREATE SEGMENT {name} AS {grouped} {having}")
    };
    let two = "count(*) FILTER (WHERE event = 'purchase') >= 2";
    shop.run(&having("two", two)).await;
    shop.run(&having("spent", "sum(amount) > 60")).await;
    shop.run(&having("calm", "count(*) FILTER (WHERE event = 'refund') = 0")).await;
    let versions = "SELECT count(customers_evaluated) + count(new_events) \
                    FROM system.segment_versions";
    assert_eq!(value_of(&shop.session, versions).await, "0");
    let say = async |event: &str| {
        let columns = "(event_id, ts, event, user_id, amount)";
        shop.run(&format!("INSERT INTO events {columns} VALUES {event}")).await;
        let [two, two_new] = looked_at(&shop, "two").await;
        let [spent, spent_new] = looked_at(&shop, "spent").await;
        let [calm, calm_new] = looked_at(&shop, "calm").await;
        assert_eq!([spent_new, calm_new], [two_new.clone(), two_new.clone()]);
        [two, spent, calm, two_new]
    };
    // Somebody new: no aggregate but the count of refunds says anything about a visit.
    let visit = "('n1', '2026-01-01', 'visit', 'new', NULL)";
    assert_eq!(say(visit).await, ["0", "0", "1", "1"]);
    // One purchase may be the second one; whoever has two needs no look at what was before.
    assert_eq!(say("('n2', '2026-01-02', 'purchase', 'new', 5)").await, ["1", "1", "0", "1"]);
    let two =
        "('n3', '2026-01-02', 'purchase', 'u1', 5), ('n4', '2026-01-03', 'purchase', 'u1', 5)";
    let [evaluated, spent, _, new] = say(two).await;
    assert_eq!([evaluated, spent, new], ["0", "1", "2"].map(str::to_owned));
    // A refund decides that nobody is calm.
    assert_eq!(say("('n5', '2026-01-04', 'refund', 'new', NULL)").await, ["0", "0", "0", "1"]);
}
