//! Takes connections and ends them.

use crate::access::{Access, AccessError, ServerLimits, Shutdown, TlsFiles};
use crate::postgres::cancel::Cancellations;
use crate::postgres::catalog::Catalog;
use crate::postgres::connection;
use crate::session::Database;
use datafusion_postgres::pgwire::tokio::tokio_rustls::TlsAcceptor;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The protocol as TLS knows it, for clients that begin with TLS at once.
const ALPN: &[u8] = b"postgresql";
/// Connections beyond the limit that are told so, at a time.
const REFUSED_AT_ONCE: usize = 32;
/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long statements that run may take when the server ends.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What all connections share.
pub(super) struct Server {
    pub(super) database: Database,
    pub(super) access: Access,
    pub(super) limits: ServerLimits,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) catalog: Catalog,
    pub(super) cancellations: Cancellations,
    pub(super) shutdown: Shutdown,
}

/// Speaks the Postgres protocol to whoever connects, until `shutdown` is asked for; statements that
/// run then have some seconds.
///
/// # Errors
/// [`AccessError::Tls`] when the certificate cannot be used.
pub async fn serve(
    database: Database,
    access: Access,
    limits: ServerLimits,
    tls: Option<TlsFiles>,
    listener: TcpListener,
    shutdown: Shutdown,
) -> Result<(), AccessError> {
    let tls = tls.map(|files| files.server_config(&[ALPN])).transpose()?.map(TlsAcceptor::from);
    let server = Arc::new(Server {
        database,
        access,
        tls,
        catalog: Catalog::new()?,
        cancellations: Cancellations::default(),
        shutdown: shutdown.clone(),
        limits,
    });
    let mut connections = JoinSet::new();
    let accepting = accept(&server, &listener, &mut connections);
    tokio::select! {
        () = accepting => {}
        () = shutdown.asked() => {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is dropped with the set.
    let _ = tokio::time::timeout(END_PATIENCE, ended).await;
    Ok(())
}

async fn accept(server: &Arc<Server>, listener: &TcpListener, connections: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(server.limits.connections_max));
    let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let server = server.clone();
            connections.spawn(async move {
                let _place = place;
                run(server, stream, Room::Free).await;
            });
        } else if let Ok(place) = refusals.clone().try_acquire_owned() {
            let server = server.clone();
            connections.spawn(async move {
                let _place = place;
                run(server, stream, Room::None).await;
            });
        }
    }
}

/// Whether there is room for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Only the wish to cancel a statement is heard.
    None,
}

async fn run(server: Arc<Server>, stream: TcpStream, room: Room) {
    // Whatever fails here, nobody is left to be told.
    let _ = connection::run(server, stream, room).await;
}
