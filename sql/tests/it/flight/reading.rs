//! Queries and their answers on the wire. Breaks for a user if this fails: a driver cannot read an
//! answer, or reads another one than the shell shows.

use crate::flight::server::{TestServer, raw, rows, rows_of, value};
use crate::small_shop::{rows_of as local_rows, small_shop};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, IpcMessage, Ticket};
use prost::Message;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

/// Nothing in an answer that drivers in Java or JavaScript cannot read.
fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(..) => false,
        DataType::List(field) | DataType::Map(field, _) => is_plain(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_plain(field.data_type())),
        _ => true,
    }
}

const QUERIES: [&str; 12] = [
    "SELECT * FROM events ORDER BY event_id",
    "SELECT * FROM customers ORDER BY customer_id",
    "SELECT * FROM identifiers ORDER BY identifier_id",
    "SELECT event, count(*) AS n, sum(amount) AS money FROM events GROUP BY event ORDER BY event",
    "SELECT 1 AS a, NULL AS b, 'x' AS c, true AS d, 1.5 AS e, DATE '2026-01-01' AS f",
    "SELECT [1, 2] AS list, {'a': 'b'} AS object, arrow_cast('x', 'Dictionary(Int8, Utf8)') AS d",
    "SELECT arrow_cast('x', 'Utf8View') AS v, arrow_cast(X'00ff', 'BinaryView') AS b",
    "SELECT TIMESTAMP '2026-01-01T00:00:00Z' AS t, INTERVAL '1 day' AS i, TIME '10:00' AS h",
    "SELECT event_id, max(amount) OVER (PARTITION BY customer_id) FROM events ORDER BY event_id",
    "SELECT * FROM events WHERE false",
    "SHOW SEGMENTS",
    "SELECT * FROM system.commits WHERE version = 1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_the_same_as_at_home_in_types_that_every_driver_knows() {
    let database = small_shop().await;
    let server = TestServer::open(database.clone()).await;
    let mut client = server.client().await;
    for sql in QUERIES {
        // `rows` compares the schema of the FlightInfo with that of the stream.
        let sent = rows(&mut client, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let here = local_rows(&database.session(), sql).await.unwrap();
        for batch in &sent {
            let schema = batch.schema();
            let types = schema.fields().iter().map(|field| field.data_type());
            assert!(types.clone().all(is_plain), "{sql}: {:?}", types.collect::<Vec<_>>());
        }
        let table = |batches: &[RecordBatch]| {
            let filled: Vec<_> = batches.iter().filter(|b| b.num_rows() > 0).cloned().collect();
            pretty_format_batches(&filled).unwrap().to_string()
        };
        assert_eq!(table(&sent), table(&here), "{sql}");
    }
}

#[tokio::test]
async fn the_schema_is_told_without_running_anything() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = raw(server.channel().await);
    let sql = "SELECT event, amount, count(*) AS n FROM events GROUP BY event, amount";
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let told = client.get_schema(descriptor.clone()).await.unwrap().into_inner();
    let told = arrow::datatypes::Schema::try_from(IpcMessage(told.schema)).unwrap();
    let info = client.get_flight_info(descriptor).await.unwrap().into_inner();
    assert_eq!(told, info.try_decode_schema().unwrap());
    assert!(!told.field_with_name("event").unwrap().is_nullable());
    assert!(told.field_with_name("amount").unwrap().is_nullable());
}

#[tokio::test]
async fn an_error_says_what_and_where_under_a_code_that_fits() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let cases = [
        ("SELECT evnt FROM events", Code::NotFound, "did you mean 'event'? (line 1, column 8)"),
        ("SELECT * FROM evnts", Code::NotFound, "table 'evnts' does not exist"),
        ("SELEC 1", Code::InvalidArgument, "SELEC"),
        ("SELECT 1; SELECT 2", Code::InvalidArgument, "one statement is wanted"),
        ("", Code::InvalidArgument, "one statement is wanted"),
        ("SELECT $1", Code::InvalidArgument, "1 parameters"),
        ("SELECT CAST('a' AS INT)", Code::InvalidArgument, "a"),
        ("COPY (SELECT 1) TO '/tmp/never.parquet'", Code::PermissionDenied, "not allowed"),
        (
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            Code::PermissionDenied,
            "",
        ),
    ];
    for (sql, expected, words) in cases {
        let status = rows(&mut client, sql).await.unwrap_err();
        assert_eq!(status.code(), expected, "{sql}: {status}");
        assert!(status.message().contains(words), "{sql}: {status}");
    }
    assert!(rows(&mut client, "SELECT * FROM '/etc/passwd'").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_comes_in_messages_that_every_client_takes() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let sql = "SELECT value AS n, repeat('x', 100) AS text FROM generate_series(1, 300000)";
    let info = client.execute(sql.into(), None).await.unwrap();
    // The client of this test takes four MiB for a message, as most do.
    let batches = rows_of(&mut client, info).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 300_000);
    let wide = value(&mut client, "SELECT length(repeat('x', 3000000))").await;
    assert_eq!(wide, "3000000");
}

/// Carries one connection to the server, and answers how many bytes came from there.
async fn counting_proxy(server: SocketAddr) -> (SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let carried = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        copy_bidirectional(&mut client, &mut server).await.unwrap().1
    });
    (address, carried)
}

#[tokio::test]
async fn messages_are_compressed_for_who_asks_and_for_nobody_else() {
    let server = TestServer::open(small_shop().await).await;
    let command = CommandStatementQuery {
        query: "SELECT repeat('x', 1000000) AS x".into(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    for (accepted, is_small) in [
        (None, false),
        // Most clients offer gzip without having been asked whether they want it.
        (Some(CompressionEncoding::Gzip), false),
        (Some(CompressionEncoding::Zstd), true),
    ] {
        let (address, carried) = counting_proxy(server.address).await;
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = raw(channel.connect().await.unwrap());
        if let Some(encoding) = accepted {
            client = client.accept_compressed(encoding);
        }
        let info = client.get_flight_info(descriptor.clone()).await.unwrap().into_inner();
        let ticket: Ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut messages = client.do_get(Request::new(ticket)).await.unwrap().into_inner();
        let mut bytes = 0;
        while let Some(message) = messages.message().await.unwrap() {
            bytes += message.data_body.len();
        }
        assert!(bytes > 1_000_000, "{bytes}");
        drop((messages, client));
        let carried = carried.await.unwrap();
        assert_eq!(carried < 500_000, is_small, "{accepted:?}: {carried} bytes");
    }
}

#[tokio::test]
async fn a_ticket_may_be_read_again() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let info = client.execute("SELECT count(*) FROM events".into(), None).await.unwrap();
    let first = rows_of(&mut client, info.clone()).await.unwrap();
    assert_eq!(rows_of(&mut client, info).await.unwrap(), first);
}
