//! Every file of `tests/slt` through Flight. Breaks for a user if this fails: a dashboard shows
//! something else than the shell.

use crate::flight::server::{Client, TestServer, rows};
use crate::slt::{answered, every_file};
use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use std::fmt;
use tonic::Status;

/// A session over Flight as the runner of sqllogictest sees it.
struct FlightConnection {
    client: Client,
    _server: TestServer,
}

/// What the server said; the tests know its words.
#[derive(Debug)]
struct Refusal(Status);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Refusal {}

#[async_trait]
impl AsyncDB for FlightConnection {
    type Error = Refusal;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refusal> {
        rows(&mut self.client, sql).await.map(|batches| answered(&batches)).map_err(Refusal)
    }

    async fn shutdown(&mut self) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sql_word_answers_the_same_through_flight() {
    every_file(|database| async move {
        let server = TestServer::open(database).await;
        FlightConnection { client: server.client().await, _server: server }
    })
    .await;
}
