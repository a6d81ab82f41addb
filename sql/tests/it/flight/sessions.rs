//! Sessions over Flight. Breaks for a user if this fails: the setting of one person changes the
//! numbers of another.

use crate::flight::server::{
    Client, TestServer, Users, code, raw, rows, status, value, with_token,
};
use crate::small_shop::small_shop;
use arrow_flight::Action;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo};
use habitue_sql::access::{Access, ServerLimits};
use prost::Message;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Request, Response};

const COUNT: &str = "SELECT count(*) FROM events";

/// The messages of the session actions, as the protocol has them.
#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Number(i64),
}

#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Errors {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
struct OptionError {
    #[prost(int32, tag = "1")]
    kind: i32,
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.into()))
}

/// Sets one option; the number of the protocol's reason when that is refused.
async fn set(client: &mut Client, name: &str, value: Option<Value>) -> Option<i32> {
    let options = HashMap::from([(name.to_owned(), OptionValue { value })]);
    let action = Action::new("SetSessionOptions", Options { options }.encode_to_vec());
    let mut answer = client.do_action(action).await.unwrap();
    let body = answer.message().await.unwrap().unwrap().body;
    Errors::decode(body).unwrap().errors.get(name).map(|error| error.kind)
}

async fn get(client: &mut Client, name: &str) -> Option<Value> {
    let mut answer = client.do_action(Action::new("GetSessionOptions", "")).await.unwrap();
    let body = answer.message().await.unwrap().unwrap().body;
    Options::decode(body).unwrap().options.get(name)?.value.clone()
}

#[tokio::test]
async fn settings_and_temporary_tables_stay_in_their_session() {
    let server = TestServer::open(small_shop().await).await;
    let (mut one, mut other) = (server.client().await, server.client().await);
    rows(&mut one, "SET habitue.as_of_version = 2").await.unwrap();
    rows(&mut one, "CREATE TABLE mine AS SELECT 1 AS a").await.unwrap();
    assert_eq!(value(&mut one, COUNT).await, "7");
    assert_eq!(value(&mut other, COUNT).await, "12");
    assert_eq!(value(&mut one, "SELECT a FROM mine").await, "1");
    assert_eq!(rows(&mut other, "SELECT a FROM mine").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn options_are_set_read_and_reset() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    assert_eq!(get(&mut client, "catalog").await, text("habitue"));
    assert_eq!(get(&mut client, "schema").await, text("main"));
    assert_eq!(set(&mut client, "schema", text("system")).await, None);
    assert_eq!(value(&mut client, "SELECT max(version) FROM commits").await, "4");
    assert_eq!(set(&mut client, "schema", None).await, None);
    assert_eq!(value(&mut client, COUNT).await, "12");
    assert_eq!(set(&mut client, "habitue.as_of_version", Some(Value::Number(2))).await, None);
    assert_eq!(value(&mut client, COUNT).await, "7");
    assert_eq!(get(&mut client, "habitue.as_of_version").await, text("2"));
    assert_eq!(set(&mut client, "habitue.as_of_version", None).await, None);
    assert_eq!(value(&mut client, COUNT).await, "12");
    for (name, option) in
        [("flight.ipc_compression", text("zstd")), ("flight.dictionaries", Some(Value::Flag(true)))]
    {
        assert_eq!(set(&mut client, name, option).await, None, "{name}");
        assert_eq!(value(&mut client, COUNT).await, "12", "{name}");
    }
    let labels = "SELECT arrow_cast('x', 'Dictionary(Int32, Utf8)') AS label";
    let batches = rows(&mut client, labels).await.unwrap();
    let schema = batches[0].schema();
    assert!(schema.field(0).data_type().to_string().starts_with("Dictionary"), "{schema}");
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_with_the_reason() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    const NAME: i32 = 1;
    const VALUE: i32 = 2;
    for (name, option, reason) in [
        ("catalog", text("other"), VALUE),
        ("schema", text("other"), VALUE),
        ("schema", Some(Value::Flag(true)), VALUE),
        ("colour", text("red"), NAME),
        ("habitue.prunning", text("off"), NAME),
        ("habitue.pruning", text("perhaps"), VALUE),
        ("habitue.as_of_version = 1; DROP TABLE t --", text("1"), NAME),
        ("datafusion.runtime.memory_limit", text("1G"), VALUE),
        ("flight.ipc_compression", text("rar"), VALUE),
    ] {
        assert_eq!(set(&mut client, name, option.clone()).await, Some(reason), "{name} {option:?}");
    }
    assert_eq!(value(&mut client, COUNT).await, "12");
    assert_eq!(set(&mut client, "habitue.as_of_timestamp", text("x' OR '1")).await, Some(VALUE));
}

#[tokio::test]
async fn a_closed_session_is_gone() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    assert_eq!(value(&mut client, "SELECT 1").await, "1");
    client.do_action(Action::new("CloseSession", "")).await.unwrap();
    let refused = status(client.execute("SELECT 1".into(), None).await.unwrap_err());
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("session has ended"), "{refused}");
}

#[tokio::test]
async fn an_idle_session_ends() {
    let idle = Duration::ZERO;
    let limits = ServerLimits { session_idle_max: idle, ..ServerLimits::default() };
    let server = TestServer::start(small_shop().await, Access::open(), limits, None).await;
    let mut client = server.client().await;
    assert_eq!(code(client.execute("SELECT 1".into(), None).await), Code::Unauthenticated);
}

/// A call with a token and a cookie, and the cookie that comes back.
async fn ask(
    server: &TestServer,
    token: &str,
    cookie: Option<&str>,
    sql: &str,
) -> Result<(Response<FlightInfo>, Option<String>), tonic::Status> {
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut request = Request::new(descriptor);
    let header = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    if let Some(cookie) = cookie {
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
    }
    let response = raw(server.channel().await).get_flight_info(request).await?;
    let set = response.metadata().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
    let set = set.map(|cookie| cookie.split(';').next().unwrap().to_owned());
    Ok((response, set))
}

#[tokio::test]
async fn a_client_with_a_long_lived_token_has_its_session_by_a_cookie() {
    let users = Users::new();
    let server = TestServer::closed(small_shop().await, &users).await;
    // Without a cookie the session may be shared, so that nothing may be changed in it.
    let mut shared = with_token(server.channel().await, &users.reader);
    let refused = rows(&mut shared, "SET habitue.as_of_version = 2").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("arrow_flight_session_id"), "{refused}");
    assert_eq!(value(&mut shared, COUNT).await, "12");

    let (_, cookie) = ask(&server, &users.reader, None, COUNT).await.unwrap();
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("arrow_flight_session_id="), "{cookie}");
    let mut own = with_token(server.channel().await, &users.reader);
    own.set_header("cookie", cookie.clone());
    rows(&mut own, "SET habitue.as_of_version = 2").await.unwrap();
    assert_eq!(value(&mut own, COUNT).await, "7");
    assert_eq!(value(&mut shared, COUNT).await, "12");

    // Whoever else has the cookie but not the token has nothing.
    let stolen = ask(&server, &users.writer, Some(&cookie), COUNT).await.unwrap_err();
    assert_eq!(stolen.code(), Code::Unauthenticated);
}
