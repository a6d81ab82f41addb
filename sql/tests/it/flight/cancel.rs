//! Cancelling. Breaks for a user if this fails: a query that nobody waits for keeps the server
//! busy.

use crate::flight::server::{TestServer, code, rows, rows_of, status, value};
use crate::small_shop::small_shop;
use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};
use futures::TryStreamExt;
use habitue_sql::access::{Access, ServerLimits, Turns};
use prost::Message;
use std::time::{Duration, Instant};
use tonic::Code;

/// Hours of work, without a row before its end.
const ENDLESS: &str = "SELECT sum(a.value * b.value) AS s FROM generate_series(1, 1000) a \
                       CROSS JOIN generate_series(1, 10000000000) b";
/// Hours of work, with rows all the time.
const FLOOD: &str = "SELECT a.value + b.value AS s FROM generate_series(1, 1000) a \
                     CROSS JOIN generate_series(1, 10000000000) b";

/// A server with room for one statement: whoever is served next proves that the one before ended.
async fn narrow_server() -> TestServer {
    let limits = ServerLimits { turns: Turns::new(1, 1), ..ServerLimits::default() };
    TestServer::start(small_shop().await, Access::open(), limits, None).await
}

/// CPU time of this process, in clock ticks.
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_gives_its_place_back() {
    let server = narrow_server().await;
    for sql in [ENDLESS, FLOOD] {
        let mut gone = server.client().await;
        let info = gone.execute(sql.into(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let reading = tokio::spawn(async move {
            let mut stream = gone.do_get(ticket).await.unwrap();
            // The first row of the flood, or never.
            stream.try_next().await.unwrap();
            stream
        });
        // It holds the only place once another statement has to wait.
        let mut other = server.client().await;
        loop {
            let waiting = tokio::time::timeout(Duration::from_millis(200), async {
                value(&mut other, "SELECT 1").await
            });
            if waiting.await.is_err() {
                break;
            }
        }
        reading.abort();
        drop(reading.await);
        let begun = Instant::now();
        assert_eq!(value(&mut other, "SELECT 1").await, "1");
        println!("{sql:.20}…: the place was back after {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_statement_ends_with_a_word_about_it() {
    let server = narrow_server().await;
    for action in ["CancelFlightInfo", "CancelQuery"] {
        let mut client = server.client().await;
        let info = client.execute(ENDLESS.into(), None).await.unwrap();
        let mut canceller = client.clone();
        let body = match action {
            "CancelFlightInfo" => CancelFlightInfoRequest::new(info.clone()).encode_to_vec(),
            _ => ActionCancelQueryRequest { info: info.encode_to_vec().into() }
                .as_any()
                .encode_to_vec(),
        };
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let reading = tokio::spawn(async move {
            let mut stream = client.do_get(ticket).await?;
            stream.try_next().await
        });
        let mut answer = canceller.do_action(Action::new(action, body)).await.unwrap();
        let body = answer.message().await.unwrap().unwrap().body;
        let told = match action {
            "CancelFlightInfo" => CancelFlightInfoResult::decode(body).unwrap().status,
            _ => {
                let any = Any::decode(body).unwrap();
                any.unpack::<ActionCancelQueryResult>().unwrap().unwrap().result
            }
        };
        assert_eq!(told, CancelStatus::Cancelled as i32);
        assert_eq!(status(reading.await.unwrap().unwrap_err()).code(), Code::Cancelled);
        assert_eq!(value(&mut canceller, "SELECT 1").await, "1");
        // What is cancelled stays so: its ticket runs nothing any more.
        let again = rows_of(&mut canceller, info).await;
        assert_eq!(again.unwrap_err().code(), Code::Cancelled);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_session_ends_what_runs_in_it() {
    let server = narrow_server().await;
    let mut client = server.client().await;
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut closer = client.clone();
    let reading = tokio::spawn(async move {
        let mut stream = client.do_get(ticket).await?;
        stream.try_next().await
    });
    closer.do_action(Action::new("CloseSession", "")).await.unwrap();
    let ended = status(reading.await.unwrap().unwrap_err()).code();
    assert!(matches!(ended, Code::Cancelled | Code::Unauthenticated | Code::NotFound), "{ended}");
    assert_eq!(code(closer.execute("SELECT 1".into(), None).await), Code::Unauthenticated);
    assert_eq!(value(&mut server.client().await, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_ends_and_gives_its_place_back() {
    let limits = ServerLimits {
        turns: Turns::new(1, 1),
        // The next statement waits until this one has noticed its end: a batch or some dozens.
        statement_time_max: Some(Duration::from_secs(2)),
        rows_max: Some(1000),
        ..ServerLimits::default()
    };
    let server = TestServer::start(small_shop().await, Access::open(), limits, None).await;
    let mut client = server.client().await;
    let refused = rows(&mut client, ENDLESS).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    let many = "SELECT * FROM generate_series(1, 100000)";
    let refused = rows(&mut client, many).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(value(&mut client, "SELECT 1").await, "1");
}

/// The longer level, `HABITUE_CANCELS=5000` and nothing beside it, looks at the CPU too, where
/// there is `/proc`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_clients_leave_no_work_behind() {
    let count = std::env::var("HABITUE_CANCELS").map_or(20, |count| count.parse().unwrap());
    let server = narrow_server().await;
    let mut waits = Vec::new();
    for _ in 0..count {
        let mut gone = server.client().await;
        let info = gone.execute(FLOOD.into(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut stream = gone.do_get(ticket).await.unwrap();
        stream.try_next().await.unwrap();
        drop((stream, gone));
        let begun = Instant::now();
        assert_eq!(value(&mut server.client().await, "SELECT 1").await, "1");
        waits.push(begun.elapsed());
    }
    waits.sort();
    let p99 = waits[(waits.len() - 1) * 99 / 100];
    println!("place back after: median {:?}, p99 {p99:?}", waits[waits.len() / 2]);
    if std::env::var_os("HABITUE_CANCELS").is_some()
        && let Some(before) = cpu_ticks()
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = cpu_ticks().unwrap() - before;
        assert!(used < 20, "{used} ticks of CPU in the second after");
    }
}
