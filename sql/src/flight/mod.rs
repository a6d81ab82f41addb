//! Arrow Flight SQL: how BI tools and notebooks ask.
//!
//! ```text
//! Handshake          user and password → a token, with a session of the client's own
//! GetFlightInfo      a command → what it will answer, and a ticket; a change runs here
//! DoGet              a ticket → rows, computed as they are read
//! DoPut              a change, values of parameters, or events
//! DoAction           prepare, close, cancel, session options
//! ```
//!
//! A command that reads may be read as often as its ticket is kept; a change runs once
//! ([`execution`]). What is kept for a client is in its session ([`sessions`] says which that is)
//! under random handles, and is found by its owner alone. Statements that run hold a slot, which is
//! given back when their stream ends, is cancelled, or is dropped with the connection ([`stream`]).

mod action;
mod caller;
mod compression;
mod connections;
mod credentials;
mod execution;
mod handle;
mod incoming;
mod ingest;
mod messages;
mod metadata;
mod options;
mod poll;
mod put;
mod query;
mod rpc;
mod server;
mod session;
mod sessions;
mod status;
mod stream;
mod wire;

use crate::access::{Access, AccessError, ServerLimits, Shutdown, TlsFiles};
use crate::session::Database;
use arrow_flight::flight_service_server::FlightServiceServer;
use rpc::Calls;
use server::Server;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, interval, sleep};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;

/// gRPC is HTTP/2.
const PROTOCOLS: [&[u8]; 1] = [b"h2"];
/// A message of a client may be so large: clients that ingest send whole record batches.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How often a silent connection is asked whether it still lives, and how long it may be silent.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// What a client may send before it has been read. How much is on its way to a client that does
/// not read is the client's own window.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What runs when the server is asked to end has so long to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How often idle sessions are looked for.
const IDLE_CHECK: Duration = Duration::from_secs(10);

/// Answers clients at `listener` until `shutdown` is asked for and what runs has ended, or some
/// seconds have passed.
///
/// # Errors
/// [`AccessError`] when the certificate cannot be used.
pub async fn serve(
    database: Database,
    access: Access,
    limits: ServerLimits,
    tls: Option<TlsFiles>,
    listener: TcpListener,
    shutdown: Shutdown,
) -> Result<(), AccessError> {
    let tls = tls.map(|files| files.server_config(&PROTOCOLS)).transpose()?;
    let connections_max = limits.connections_max;
    let server = Server::new(database, access, limits);
    let server =
        Arc::new(server.map_err(|error| AccessError::invalid("the server", error.to_string()))?);
    let service = FlightServiceServer::new(Calls(server.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let connections = connections::accept(listener, tls, connections_max);
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(InterceptedService::new(service, compression::only_what_is_wanted))
        .serve_with_incoming_shutdown(connections, shutdown.clone().asked());
    tokio::select! {
        // It fails only when a connection cannot be taken over, and ours always can.
        _ = serving => {}
        () = end_idle_sessions(&server) => {}
        () = give_up(shutdown) => {}
    }
    server.sessions.end_all();
    Ok(())
}

async fn end_idle_sessions(server: &Server) {
    let mut ticks = interval(IDLE_CHECK);
    loop {
        ticks.tick().await;
        server.sessions.end_idle(Instant::now());
    }
}

async fn give_up(shutdown: Shutdown) {
    shutdown.asked().await;
    sleep(GRACE).await;
}
