//! A server on a port of its own, and clients of it.

use arrow::array::RecordBatch;
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use habitue_sql::Database;
use habitue_sql::access::{
    Access, NewToken, Role, ServerLimits, Shutdown, ShutdownTrigger, TlsFiles, UserEntry, UsersFile,
};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// The password of every user of [`Users`].
pub const PASSWORD: &str = "correct horse battery";

pub type Client = FlightSqlServiceClient<Channel>;

/// A server that ends with the test.
pub struct TestServer {
    pub address: SocketAddr,
    _trigger: ShutdownTrigger,
}

impl TestServer {
    pub async fn start(
        database: Database,
        access: Access,
        limits: ServerLimits,
        tls: Option<TlsFiles>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = Shutdown::new();
        tokio::spawn(async move {
            habitue_sql::flight::serve(database, access, limits, tls, listener, shutdown)
                .await
                .unwrap();
        });
        Self { address, _trigger: trigger }
    }

    /// One that asks nobody who they are.
    pub async fn open(database: Database) -> Self {
        Self::start(database, Access::open(), ServerLimits::default(), None).await
    }

    /// One that knows [`Users`].
    pub async fn closed(database: Database, users: &Users) -> Self {
        Self::start(database, users.access(), ServerLimits::default(), None).await
    }

    pub async fn channel(&self) -> Channel {
        self.channel_from([127, 0, 0, 1]).await
    }

    /// A connection from another address of this machine.
    pub async fn channel_from(&self, address: [u8; 4]) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let endpoint = endpoint.local_address(Some(IpAddr::from(address)));
        endpoint.connect_timeout(Duration::from_secs(10)).connect().await.unwrap()
    }

    /// A client that has logged in, with a session of its own.
    pub async fn client_of(&self, user: &str) -> Client {
        let mut client = FlightSqlServiceClient::new(self.channel().await);
        client.handshake(user, PASSWORD).await.unwrap();
        client
    }

    /// A client of an open server, with a session of its own.
    pub async fn client(&self) -> Client {
        self.client_of("anybody").await
    }
}

/// A reader, a writer and an admin, each as user and as token, and a token that has expired.
pub struct Users {
    folder: TempDir,
    pub reader: String,
    pub writer: String,
    pub admin: String,
    pub expired: String,
}

impl Users {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut file = UsersFile::default();
        let mut tokens = Vec::new();
        for role in Role::ALL {
            let user = UserEntry::new(role, PASSWORD, None).unwrap();
            file.users.insert(role.to_string(), user);
            let token = NewToken::generate(role, None);
            file.tokens.insert(format!("{role}-token"), token.entry);
            tokens.push(token.token);
        }
        let past = "2020-01-01T00:00:00Z".parse().unwrap();
        let expired = NewToken::generate(Role::Admin, Some(past));
        file.tokens.insert("expired-token".into(), expired.entry);
        file.write(&folder.path().join("users.json")).unwrap();
        let [reader, writer, admin] = tokens.try_into().unwrap();
        Self { folder, reader, writer, admin, expired: expired.token }
    }

    pub fn access(&self) -> Access {
        Access::from_file(&self.folder.path().join("users.json")).unwrap()
    }
}

/// The rows of a statement, by GetFlightInfo and DoGet; the schemas of both must be the same.
pub async fn rows(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, Status> {
    let info = client.execute(sql.to_owned(), None).await.map_err(status)?;
    rows_of(client, info).await
}

/// The rows behind a FlightInfo; its schema must be that of the stream.
pub async fn rows_of(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, Status> {
    let promised = info.clone().try_decode_schema().unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut stream = client.do_get(ticket).await.map_err(status)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await.map_err(status)? {
        batches.push(batch);
    }
    let sent = stream.schema().expect("a schema comes even without rows");
    assert_eq!(&promised, sent.as_ref());
    Ok(batches)
}

/// The only value of the only row.
pub async fn value(client: &mut Client, sql: &str) -> String {
    let batches = rows(client, sql).await.unwrap_or_else(|status| panic!("{sql}: {status}"));
    only_value(&batches)
}

/// The only value of the only row.
pub fn only_value(batches: &[RecordBatch]) -> String {
    let batch = arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (1, 1));
    arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap()
}

/// The status inside an error of the client.
pub fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::unknown(other.to_string()),
    }
}

/// With what a call was refused.
pub fn code<T>(result: Result<T, FlightError>) -> Code {
    match result {
        Ok(_) => Code::Ok,
        Err(error) => status(error).code(),
    }
}

/// A client without a session of its own, which brings a token.
pub fn with_token(channel: Channel, token: &str) -> Client {
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token.to_owned());
    client
}

/// The calls of Flight themselves.
pub fn raw(channel: Channel) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(channel)
}
