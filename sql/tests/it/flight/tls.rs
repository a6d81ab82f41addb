//! TLS and client certificates. Breaks for a user if this fails: passwords go through the network
//! for everybody to read, or a certificate of anybody opens the door.

use crate::authority::Authority;
use crate::flight::server::{Client, PASSWORD, TestServer, Users, value};
use crate::small_shop::small_shop;
use arrow_flight::sql::client::FlightSqlServiceClient;
use habitue_sql::access::ServerLimits;
use rcgen::ExtendedKeyUsagePurpose;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

fn client_of(authority: &Authority, name: &str) -> Identity {
    let signed = authority.sign(name, ExtendedKeyUsagePurpose::ClientAuth);
    Identity::from_pem(signed.certificate, signed.key)
}

/// A server with a certificate; with `clients` it wants one from each client.
async fn serve(
    authority: &Authority,
    clients: Option<&Authority>,
    users: &Users,
) -> (TestServer, TempDir) {
    let folder = TempDir::new().unwrap();
    let files = authority.server(clients, folder.path());
    let limits = ServerLimits::default();
    let database = small_shop().await;
    (TestServer::start(database, users.access(), limits, Some(files)).await, folder)
}

async fn connect(
    server: &TestServer,
    authority: &Authority,
    identity: Option<Identity>,
) -> Result<Channel, tonic::transport::Error> {
    let root = Certificate::from_pem(authority.pem());
    let mut config = ClientTlsConfig::new().ca_certificate(root).domain_name("localhost");
    if let Some(identity) = identity {
        config = config.identity(identity);
    }
    let address = format!("https://127.0.0.1:{}", server.address.port());
    Endpoint::from_shared(address)?.tls_config(config)?.connect().await
}

fn client(channel: Channel) -> Client {
    FlightSqlServiceClient::new(channel)
}

#[tokio::test]
async fn a_password_travels_through_tls() {
    let (authority, users) = (Authority::new(), Users::new());
    let (server, _folder) = serve(&authority, None, &users).await;
    let mut reader = client(connect(&server, &authority, None).await.unwrap());
    reader.handshake("reader", PASSWORD).await.unwrap();
    assert_eq!(value(&mut reader, "SELECT count(*) FROM events").await, "12");
    assert!(connect(&server, &Authority::new(), None).await.is_err(), "a stranger was trusted");
    let plain = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let plain = match plain.connect().await {
        Ok(channel) => client(channel).handshake("reader", PASSWORD).await.is_ok(),
        Err(_) => false,
    };
    assert!(!plain, "the server spoke without TLS");
}

#[tokio::test]
async fn a_certificate_of_the_right_authority_names_its_user() {
    let (authority, users) = (Authority::new(), Users::new());
    let (server, _folder) = serve(&authority, Some(&authority), &users).await;
    let channel =
        connect(&server, &authority, Some(client_of(&authority, "reader"))).await.unwrap();
    let mut reader = client(channel);
    assert_eq!(value(&mut reader, "SELECT count(*) FROM events").await, "12");
    let insert = "INSERT INTO events (event_id, ts, event) VALUES ('n', now(), 'visit')";
    assert!(reader.execute_update(insert.into(), None).await.is_err());

    let strangers =
        [None, Some(client_of(&Authority::new(), "admin")), Some(client_of(&authority, "who"))];
    for identity in strangers {
        let refused = match connect(&server, &authority, identity).await {
            Ok(channel) => client(channel).execute("SELECT 1".into(), None).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
}
