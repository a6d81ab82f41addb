//! What ends a statement before its end.

use crate::postgres::Served;
use habitue_sql::access::{ServerLimits, Turns};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::NoTls;

/// Takes hours.
const LONG: &str =
    "SELECT count(*) FROM generate_series(1, 10000000000000) AS a(n) WHERE n % 7 = 3";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn one_slot() -> ServerLimits {
    ServerLimits { turns: Turns::new(1, 1), ..ServerLimits::default() }
}

// If this fails, a question that nobody waits for keeps the machine busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_statement_gives_its_slot_back() {
    let served = Served::with_limits(one_slot()).await;
    let (shop, other) = (served.connect().await, served.connect().await);
    let cancel = shop.client.cancel_token();
    let running = tokio::spawn(async move { shop.refusal(LONG).await });
    // The wish is repeated, because the first may come before the statement runs.
    let cancelled = async {
        while !running.is_finished() {
            cancel.cancel_query(NoTls).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, cancelled).await.unwrap();
    assert_eq!(running.await.unwrap().0, "57014");
    assert_eq!(timeout(PATIENCE, other.value("SELECT 1")).await.unwrap(), "1");
}

fn message(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [kind.as_slice(), &length, body].concat()
}

/// Reads messages until one of this kind has come.
async fn read_until(stream: &mut TcpStream, kind: u8) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    while messages.last().is_none_or(|(last, _)| *last != kind) {
        let came = stream.read_u8().await.unwrap();
        let mut body = vec![0; stream.read_u32().await.unwrap() as usize - 4];
        stream.read_exact(&mut body).await.unwrap();
        messages.push((came, body));
    }
    messages
}

fn body_of(messages: &[(u8, Vec<u8>)], kind: u8) -> &[u8] {
    &messages.iter().find(|(came, _)| *came == kind).unwrap().1
}

/// Asks for the end of what the connection with this key runs, and waits until the server heard it.
async fn cancel(served: &Served, key: &[u8]) {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = [&80_877_102_u32.to_be_bytes(), key].concat();
    stream.write_all(&message(None, &request)).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// Parses a statement, cancels, and runs it.
async fn cancelled_before_it_runs(served: &Served) -> Vec<(u8, Vec<u8>)> {
    let mut shop = TcpStream::connect(served.address).await.unwrap();
    shop.write_all(&message(None, b"\x00\x03\x00\x00user\0ada\0\0")).await.unwrap();
    let greeting = read_until(&mut shop, b'Z').await;
    let key = body_of(&greeting, b'K');
    cancel(served, key).await;
    let parse = message(Some(b'P'), format!("\0{LONG}\0\0\0").as_bytes());
    shop.write_all(&[parse, message(Some(b'H'), b"")].concat()).await.unwrap();
    read_until(&mut shop, b'1').await;
    cancel(served, key).await;
    let bind = message(Some(b'B'), &[0; 8]);
    let execute = message(Some(b'E'), &[0; 5]);
    shop.write_all(&[bind, execute, message(Some(b'S'), b"")].concat()).await.unwrap();
    let mut answer = read_until(&mut shop, b'Z').await;
    // A wish is for one statement, not for the next.
    shop.write_all(&message(Some(b'Q'), b"SELECT 1\0")).await.unwrap();
    answer.extend(read_until(&mut shop, b'Z').await);
    answer
}

// If this fails, a client that cancels while the server still plans waits until the statement ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_cancelled_before_it_runs_does_not_run() {
    let served = Served::with_limits(one_slot()).await;
    let answer = timeout(PATIENCE, cancelled_before_it_runs(&served)).await.unwrap();
    let error = String::from_utf8_lossy(body_of(&answer, b'E'));
    assert!(error.contains("57014"), "{error}");
    assert_eq!(body_of(&answer, b'D'), b"\0\x01\0\0\0\x011");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_gives_its_slot_back() {
    let served = Served::with_limits(one_slot()).await;
    let (shop, other) = (served.connect().await, served.connect().await);
    let asking = tokio::spawn(async move {
        let asked = shop.client.simple_query(LONG);
        let _ = timeout(Duration::from_millis(300), asked).await;
        shop.connection.abort();
    });
    asking.await.unwrap();
    assert_eq!(timeout(PATIENCE, other.value("SELECT 1")).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_at_the_clients_own_limit() {
    let served = Served::with_limits(one_slot()).await;
    let shop = served.connect().await;
    shop.ask("SET statement_timeout = 200").await;
    let (code, words) = timeout(PATIENCE, shop.refusal(LONG)).await.unwrap();
    assert_eq!(code, "57014");
    assert!(words.contains("longer than the limit of 200ms"), "{words}");
    assert_eq!(shop.value("SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_the_server_hold() {
    let limits = ServerLimits {
        statement_time_max: Some(Duration::from_millis(300)),
        rows_max: Some(100),
        session_memory_bytes_max: Some(1 << 20),
        ..ServerLimits::default()
    };
    let served = Served::with_limits(limits).await;
    let shop = served.connect().await;
    assert_eq!(timeout(PATIENCE, shop.refusal(LONG)).await.unwrap().0, "57014");
    let (code, words) = shop.refusal("SELECT * FROM generate_series(1, 101)").await;
    assert_eq!(code, "54000", "{words}");
    assert_eq!(shop.ask("SELECT * FROM generate_series(1, 100)").await.len(), 100);
    let series = "SELECT array_agg(n) FROM generate_series(1, 1000000) AS a(n)";
    let (code, words) = shop.refusal(series).await;
    assert_eq!(code, "53200", "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_cancels_nothing() {
    let served = Served::open().await;
    let (shop, other) = (served.connect().await, served.connect().await);
    let running = tokio::spawn(async move {
        shop.value("SELECT count(*) FROM generate_series(1, 3000000)").await
    });
    let cancel = other.client.cancel_token();
    for _ in 0..5 {
        cancel.cancel_query(NoTls).await.unwrap();
    }
    assert_eq!(running.await.unwrap(), "3000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_ended_and_so_is_the_server() {
    let limits =
        ServerLimits { session_idle_max: Duration::from_millis(200), ..ServerLimits::default() };
    let served = Served::with_limits(limits).await;
    let shop = served.connect().await;
    timeout(PATIENCE, shop.connection).await.unwrap().unwrap();
    let shop = served.connect().await;
    served.trigger.ask();
    timeout(PATIENCE, shop.connection).await.unwrap().unwrap();
    timeout(PATIENCE, served.ended).await.unwrap().unwrap();
}
