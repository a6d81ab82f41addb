//! The Postgres protocol as its clients meet it. Breaks for a user if this fails: psql, JDBC and BI
//! tools cannot ask, or somebody asks who may not.

mod access;
mod catalog;
mod hostile;
mod interruption;
mod statements;
mod tls;
mod tools;
mod words;

use crate::small_shop::small_shop;
use futures::stream::{StreamExt, poll_fn};
use habitue_sql::Database;
use habitue_sql::access::{Access, Role, ServerLimits, Shutdown, ShutdownTrigger, UserEntry};
use habitue_sql::access::{TlsFiles, UsersFile};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, Socket};

/// The password of everybody in these tests.
pub const PASSWORD: &str = "correct horse";

/// A server that ends with the test.
pub struct Served {
    pub address: SocketAddr,
    pub ended: JoinHandle<()>,
    pub trigger: ShutdownTrigger,
    folder: TempDir,
}

/// A client, and what it was told without asking.
pub struct Connected {
    pub client: Client,
    pub notices: Arc<Mutex<Vec<String>>>,
    pub connection: JoinHandle<()>,
}

impl Served {
    /// The small shop, for everybody.
    pub async fn open() -> Self {
        Self::new(small_shop().await, ServerLimits::default(), None).await
    }

    /// The small shop, for everybody, within limits.
    pub async fn with_limits(limits: ServerLimits) -> Self {
        Self::new(small_shop().await, limits, None).await
    }

    /// The small shop for ada the admin, wim the writer and rita the reader.
    pub async fn with_users() -> Self {
        Self::new(small_shop().await, ServerLimits::default(), Some(users())).await
    }

    pub async fn new(database: Database, limits: ServerLimits, users: Option<UsersFile>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = match users {
            None => Access::open(),
            Some(users) => {
                let path = folder.path().join("users.json");
                users.write(&path).unwrap();
                Access::from_file(&path).unwrap()
            }
        };
        Self::start(database, limits, access, None, folder).await
    }

    pub async fn start(
        database: Database,
        limits: ServerLimits,
        access: Access,
        tls: Option<TlsFiles>,
        folder: TempDir,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = Shutdown::new();
        let served =
            habitue_sql::postgres::serve(database, access, limits, tls, listener, shutdown);
        let ended = tokio::spawn(async { served.await.unwrap() });
        Self { address, ended, trigger, folder }
    }

    /// The users file.
    pub fn users_file(&self) -> PathBuf {
        self.folder.path().join("users.json")
    }

    pub fn config(&self, user: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.address.port()).user(user).password(PASSWORD);
        config
    }

    pub async fn connect(&self) -> Connected {
        self.connect_as("ada").await
    }

    pub async fn connect_as(&self, user: &str) -> Connected {
        Connected::with(&self.config(user)).await.unwrap()
    }
}

impl Connected {
    pub async fn with(config: &Config) -> Result<Self, tokio_postgres::Error> {
        Self::through(config, NoTls).await
    }

    /// Over a connection of another kind than a plain one.
    pub async fn through<T>(config: &Config, tls: T) -> Result<Self, tokio_postgres::Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let (client, mut connection) = config.connect(tls).await?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let connection = tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    heard.lock().unwrap().push(notice.message().to_owned());
                }
            }
        });
        Ok(Self { client, notices, connection })
    }

    /// The rows of a text, as texts.
    pub async fn ask(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.client.simple_query(sql).await;
        let messages = messages.unwrap_or_else(|error| panic!("{sql}: {}", told(&error)));
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    /// The only value of a text.
    pub async fn value(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}: {rows:?}");
        rows[0][0].clone().unwrap_or_else(|| "NULL".into())
    }

    /// The code and the words with which a text is refused.
    pub async fn refusal(&self, sql: &str) -> (String, String) {
        match self.client.simple_query(sql).await {
            Ok(_) => panic!("{sql} was not refused"),
            Err(error) => refusal_of(&error),
        }
    }

    /// What it was told since the last time.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }
}

/// The code and the words of an error that the server told.
pub fn refusal_of(error: &tokio_postgres::Error) -> (String, String) {
    let told = error.as_db_error().unwrap_or_else(|| panic!("the server told nothing: {error}"));
    (told.code().code().to_owned(), told.message().to_owned())
}

fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Ada the admin, Wim the writer, Rita the reader.
pub fn users() -> UsersFile {
    let mut file = UsersFile::default();
    for (name, role) in [("ada", Role::Admin), ("wim", Role::Writer), ("rita", Role::Reader)] {
        file.users.insert(name.into(), UserEntry::new(role, PASSWORD, None).unwrap());
    }
    file
}
