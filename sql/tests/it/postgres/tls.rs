//! Whole sessions through TLS. Breaks for a user if this fails: rows go through the network for
//! everybody to read, or a certificate of anybody opens the door.

use crate::authority::{Authority, Signed};
use crate::postgres::{Connected, Served, refusal_of, users};
use crate::small_shop::small_shop;
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_sql::access::{Access, ServerLimits};
use rcgen::ExtendedKeyUsagePurpose;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What a client trusts, and who it says it is.
#[derive(Clone)]
struct Rustls(TlsConnector);

impl Rustls {
    fn new(trusted: &Authority, identity: Option<Signed>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(signed) => {
                let chain = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        Self(TlsConnector::from(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Rustls {
    type Stream = Encrypted;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _domain: &str) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for Rustls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let name = ServerName::try_from("localhost").unwrap();
        async move { Ok(Encrypted(Box::pin(self.0.connect(name, stream).await?))) }.boxed()
    }
}

struct Encrypted(Pin<Box<client::TlsStream<Socket>>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(context)
    }
}

/// A server with a certificate; with `clients` it wants one from each client.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let files = authority.server(clients, folder.path());
    let users_file = folder.path().join("users.json");
    users().write(&users_file).unwrap();
    let access = Access::from_file(&users_file).unwrap();
    let limits = ServerLimits::default();
    Served::start(small_shop().await, limits, access, Some(files), folder).await
}

async fn connect(
    served: &Served,
    user: &str,
    tls: Rustls,
) -> Result<Connected, tokio_postgres::Error> {
    let mut config = served.config(user);
    config.ssl_mode(SslMode::Require);
    Connected::through(&config, tls).await
}

#[tokio::test]
async fn a_whole_session_goes_through_tls() {
    let authority = Authority::new();
    let served = serve(&authority, None).await;
    let shop = connect(&served, "wim", Rustls::new(&authority, None)).await.unwrap();
    let prepared = shop.client.prepare("SELECT count(*) FROM events WHERE event = $1").await;
    let counted = shop.client.query_one(&prepared.unwrap(), &[&"purchase"]).await.unwrap();
    assert!(counted.get::<_, i64>(0) > 0);
    // More than one record of TLS in both directions.
    let long = "x".repeat(100_000);
    assert_eq!(shop.value(&format!("SELECT repeat('{long}', 3)")).await.len(), 300_000);
    let insert = "INSERT INTO events (event_id, ts, event) VALUES ('n', '2026-05-01', 'visit')";
    shop.client.batch_execute(insert).await.unwrap();
    assert_eq!(shop.value("SELECT count(*) FROM events").await, "13");
    // On this machine a password may come without it.
    served.connect_as("rita").await;
}

#[tokio::test]
async fn a_statement_is_cancelled_through_tls() {
    let authority = Authority::new();
    let served = serve(&authority, None).await;
    let tls = Rustls::new(&authority, None);
    let shop = connect(&served, "rita", tls.clone()).await.unwrap();
    let cancel = shop.client.cancel_token();
    let long = "SELECT count(*) FROM generate_series(1, 10000000000000) AS a(n) WHERE n % 7 = 3";
    let running = tokio::spawn(async move { shop.refusal(long).await.0 });
    // A wish that comes before the statement is about nothing, so it is said until it is heard.
    while !running.is_finished() {
        cancel.cancel_query(tls.clone()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(running.await.unwrap(), "57014");
}

// If this fails, somebody in the middle reads every password and row.
#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let authority = Authority::new();
    let served = serve(&authority, None).await;
    let other = Rustls::new(&Authority::new(), None);
    assert!(connect(&served, "rita", other).await.is_err());
}

// If this fails, a certificate of anybody opens the door, or one's own opens another's.
#[tokio::test]
async fn a_certificate_is_its_user_and_nobody_else() {
    let authority = Authority::new();
    let served = serve(&authority, Some(&authority)).await;
    let certificate = |authority: &Authority, name: &str| {
        Some(authority.sign(name, ExtendedKeyUsagePurpose::ClientAuth))
    };
    let as_rita = Rustls::new(&authority, certificate(&authority, "rita"));
    let mut config = served.config("rita");
    config.ssl_mode(SslMode::Require).password("not asked for");
    let rita = Connected::through(&config, as_rita.clone()).await.unwrap();
    assert_eq!(rita.value("SELECT current_user").await, "rita");
    assert_eq!(rita.refusal("REBUILD IDENTITIES").await.0, "42501");
    // Who comes with a certificate of rita as ada must know ada's password.
    let mut config = served.config("ada");
    config.ssl_mode(SslMode::Require).password("wrong horse");
    let refused = Connected::through(&config, as_rita).await.err().unwrap();
    assert_eq!(refusal_of(&refused).0, "28P01");
    for stranger in [None, certificate(&Authority::new(), "rita")] {
        let tls = Rustls::new(&authority, stranger);
        assert!(connect(&served, "rita", tls).await.is_err());
    }
}
