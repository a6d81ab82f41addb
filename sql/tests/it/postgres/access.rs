//! Who is let in, and what each may do.

use crate::postgres::{Connected, PASSWORD, Served, refusal_of, users};
use crate::small_shop::small_shop;
use habitue_sql::access::{Role, ServerLimits, UserEntry, UsersFile};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_postgres::NoTls;

async fn refused(config: &tokio_postgres::Config) -> (String, String) {
    match config.connect(NoTls).await {
        Ok(_) => panic!("{config:?} was let in"),
        Err(error) => refusal_of(&error),
    }
}

#[tokio::test]
async fn the_right_password_opens() {
    let served = Served::with_users().await;
    let rita = served.connect_as("rita").await;
    assert_eq!(rita.value("SELECT count(*) FROM events").await, "12");
    assert_eq!(rita.value("SELECT current_user").await, "rita");
}

// If this fails, people's data are open to everybody, or the answer tells which users exist.
#[tokio::test]
async fn everybody_else_gets_the_same_answer() {
    let mut file = users();
    let ended = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
    let eve = UserEntry::new(Role::Admin, PASSWORD, Some(ended)).unwrap();
    file.users.insert("eve".into(), eve);
    let served = Served::new(small_shop().await, ServerLimits::default(), Some(file)).await;
    let expected = (
        "28P01".to_owned(),
        "access was refused: the name, password or token is wrong or has expired".to_owned(),
    );
    let mut wrong = served.config("ada");
    assert_eq!(refused(wrong.password("wrong horse")).await, expected);
    assert_eq!(refused(&served.config("nobody")).await, expected);
    assert_eq!(refused(&served.config("eve")).await, expected);
}

#[tokio::test]
async fn a_removed_user_is_out_at_the_next_connection() {
    let served = Served::with_users().await;
    served.connect_as("wim").await;
    let mut file = UsersFile::read(&served.users_file()).unwrap();
    file.users.remove("wim");
    file.write(&served.users_file()).unwrap();
    assert_eq!(refused(&served.config("wim")).await.0, "28P01");
    served.connect_as("ada").await;
}

// If this fails, passwords can be guessed as fast as the network is.
#[tokio::test]
async fn failures_slow_down_those_who_fail() {
    let served = Served::with_users().await;
    let mut wrong = served.config("ada");
    wrong.password("wrong horse");
    let mut times = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        refused(&wrong).await;
        times.push(begin.elapsed());
    }
    // The wait before the fifth attempt is 100 ms doubled three times.
    assert!(times[4] >= Duration::from_millis(750), "{times:?}");
}

#[tokio::test]
async fn each_role_may_do_what_is_its_own() {
    let served = Served::with_users().await;
    let (rita, wim, ada) = (
        served.connect_as("rita").await,
        served.connect_as("wim").await,
        served.connect_as("ada").await,
    );
    let insert = "INSERT INTO events (event_id, ts, event) VALUES ('n', '2026-05-01', 'visit')";
    let segment = "CREATE OR REPLACE SEGMENT s AS SELECT customer_id FROM events";
    let link = "LINK user_id 'u3' TO anonymous_id 'd-4'";
    for (connection, allowed, forbidden) in [
        (&rita, vec!["SELECT 1", "SET habitue.pruning = off"], vec![insert, segment, link]),
        (&wim, vec![insert, segment], vec![link, "REBUILD IDENTITIES"]),
        (&ada, vec![segment, link], vec!["COPY (SELECT 1) TO '/tmp/x.csv'"]),
    ] {
        for sql in allowed {
            connection.client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        for sql in forbidden {
            let refusal = connection.client.prepare(sql).await.err().map(|e| refusal_of(&e));
            let code = refusal.map(|(code, _)| code);
            assert!(["42501", "0A000"].map(Some).contains(&code.as_deref()), "{sql}: {code:?}");
            let (code, _) = connection.refusal(sql).await;
            assert!(["42501", "0A000"].contains(&code.as_str()), "{sql}: {code}");
        }
    }
}

/// What a client that knows no SCRAM gets for the bytes that it sends.
async fn raw(served: &Served, messages: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(messages).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
    answer
}

fn message(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    message
}

// If this fails, whoever skips the password is let in.
#[tokio::test]
async fn no_question_is_answered_before_the_password() {
    let served = Served::with_users().await;
    let startup = message(None, b"\x00\x03\x00\x00user\0ada\0\0");
    let query = message(Some(b'Q'), b"SELECT count(*) FROM events\0");
    let parse = message(Some(b'P'), b"\0SELECT 1\0\0\0");
    let password = message(Some(b'p'), b"correct horse\0");
    for begin in [query.clone(), parse, password] {
        let messages = [startup.clone(), begin, query.clone()].concat();
        let answer = raw(&served, &messages).await;
        assert!(answer.windows(5).any(|part| part == b"FATAL"), "{answer:?}");
        assert!(!answer.contains(&b'Z'), "never ready for a query: {answer:?}");
        assert!(!answer.windows(2).any(|part| part == b"12"), "{answer:?}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let served = Served::with_limits(limits).await;
    let first = served.connect().await;
    let (code, words) = refused(&served.config("ada")).await;
    assert_eq!(code, "53300");
    assert!(words.contains("all 1 connections"), "{words}");
    drop(first.client);
    first.connection.await.unwrap();
    // The place is free once the server has seen the client go.
    let again = async {
        while Connected::with(&served.config("ada")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}
