//! Connections: how many there may be, and TLS around them.

use crate::access::common_name;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// A client that has not finished its TLS handshake by then is dropped.
const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections beyond the limit that are let in to be told so; further ones are dropped.
const TURNED_AWAY_MAX: usize = 16;
/// After a failed accept, which mostly means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are ready and wait to be served.
const READY_MAX: usize = 16;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: Option<SocketAddr>,
    /// The common name of its certificate, verified by TLS.
    pub(super) common_name: Option<String>,
    pub(super) place: Place,
}

/// Whether there is room for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Taken,
    /// There is none: every call is refused with the reason.
    Full,
}

/// A connection to a client.
pub(super) struct Connection {
    io: Io,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connections that come to `listener`; they come no more when the stream is dropped.
pub(super) fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    connections_max: usize,
) -> ReceiverStream<std::io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(READY_MAX);
    tokio::spawn(accept_all(listener, tls, connections_max, ready));
    ReceiverStream::new(connections)
}

async fn accept_all(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    connections_max: usize,
    ready: Sender<std::io::Result<Connection>>,
) {
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let acceptor = tls.map(TlsAcceptor::from);
    // Dropped with this function: who has not finished its handshake by then is cut off.
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, address)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let place = places.clone().try_acquire_owned().map(|place| (place, Place::Taken));
        let place =
            place.or_else(|_| turned_away.clone().try_acquire_owned().map(|p| (p, Place::Full)));
        let Ok((permit, place)) = place else { continue };
        let peer = Peer { address: Some(address), common_name: None, place };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        handshakes.spawn(async move {
            if let Some(connection) = establish(socket, acceptor, peer, permit).await {
                // Nobody serves it any more when this fails.
                let _ = ready.send(Ok(connection)).await;
            }
        });
    }
}

async fn establish(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    mut peer: Peer,
    place: OwnedSemaphorePermit,
) -> Option<Connection> {
    // A small answer must not wait for a full packet; where that cannot be set it is only slower.
    let _ = socket.set_nodelay(true);
    let io = match acceptor {
        None => Io::Plain(socket),
        Some(acceptor) => {
            let stream = timeout(TLS_HANDSHAKE_MAX, acceptor.accept(socket)).await.ok()?.ok()?;
            let certificates = stream.get_ref().1.peer_certificates();
            peer.common_name = certificates.and_then(|chain| common_name(chain.first()?));
            Io::Tls(Box::new(stream))
        }
    };
    Some(Connection { io, peer, _place: place })
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(context),
        }
    }
}
