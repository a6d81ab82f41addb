//! Places for statements. Breaks for a user if this fails: a short question waits for somebody's
//! report, or two protocols together run twice as many statements as the machine can bear.

use crate::flight::server::{Client, TestServer, value};
use crate::postgres::Served;
use crate::small_shop::small_shop;
use habitue_sql::access::{Access, ServerLimits, Turns};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Hours of work.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 10000000000000) AS a(n) \
                       WHERE n % 7 = 3";
/// A place that is not given within this time is taken: what is asked then takes some milliseconds.
const WAIT: Duration = Duration::from_millis(500);

/// Both protocols of one server.
async fn both(turns: Turns) -> (TestServer, Served) {
    let limits = ServerLimits { turns, ..ServerLimits::default() };
    let database = small_shop().await;
    let flight = TestServer::start(database.clone(), Access::open(), limits.clone(), None).await;
    (flight, Served::new(database, limits, None).await)
}

fn endless(mut client: Client) -> JoinHandle<()> {
    tokio::spawn(async move {
        value(&mut client, ENDLESS).await;
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_belong_to_the_server_and_not_to_a_protocol() {
    let (flight, postgres) = both(Turns::new(1, 1)).await;
    let shop = postgres.connect().await;
    assert_eq!(shop.value("SELECT 1").await, "1");
    let running = endless(flight.client().await);
    // Until the endless one has the only place, the other protocol is answered.
    while timeout(WAIT, shop.value("SELECT 1")).await.is_ok() {}
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let again = postgres.connect().await;
    assert_eq!(again.value("SELECT 1").await, "1");
}

// If this fails, the profile of a customer waits until somebody's report is ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_questions_do_not_wait_for_long_ones() {
    let (flight, postgres) = both(Turns::new(2, 1)).await;
    let running: Vec<_> = [flight.client().await, flight.client().await].map(endless).into();
    let shop = postgres.connect().await;
    let profile = "SELECT event, count(*) FROM events \
                   WHERE customer_id = customer_of('user_id', 'u1') GROUP BY event";
    for question in ["SELECT 1", profile, "SELECT count(*) FROM pg_class", "EXPLAIN SELECT 1"] {
        for _ in 0..3 {
            shop.ask(question).await;
        }
    }
    // A third long one waits, and a cancelled wait gives its place in the queue back.
    let waiting = postgres.connect().await;
    let cancel = waiting.client.cancel_token();
    let refused = tokio::spawn(async move { waiting.refusal(ENDLESS).await.0 });
    while !refused.is_finished() {
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(refused.await.unwrap(), "57014");
    assert_eq!(shop.value("SELECT 1").await, "1");
    for one in running {
        one.abort();
    }
}
