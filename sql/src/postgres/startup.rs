//! The first messages of a connection: encryption, who it is, and what it is told about the server.

use crate::access::{Access, Principal, ScramClientFirst, common_name};
use crate::postgres::cancel::{CancelTicket, KeyLength};
use crate::postgres::connection::Socket;
use crate::postgres::failure::{
    FEATURE_NOT_SUPPORTED, PROTOCOL_VIOLATION, TOO_MANY_CONNECTIONS, fatal, refused,
};
use crate::postgres::server::{Room, Server};
use crate::postgres::settings::ClientSettings;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use datafusion_postgres::pgwire::api::auth::{finish_authentication, protocol_negotiation};
use datafusion_postgres::pgwire::api::{ClientInfo, PgWireConnectionState};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::startup::{
    Authentication, PasswordMessageFamily, Startup,
};
use datafusion_postgres::pgwire::messages::{
    PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion,
};
use futures::{SinkExt, StreamExt};
use std::net::IpAddr;
use std::sync::Arc;

/// The mechanism of authentication.
const SCRAM: &str = "SCRAM-SHA-256";
/// Random bytes of the server's part of a nonce.
const NONCE_BYTES: usize = 18;

/// Somebody who is let in.
pub(super) struct Guest {
    pub(super) principal: Principal,
    pub(super) settings: ClientSettings,
    pub(super) ticket: CancelTicket,
}

/// Reads the first message: somebody who is let in, or nobody when it was a wish to cancel another
/// connection's statement. Every error ends the connection.
pub(super) async fn greet(
    server: &Arc<Server>,
    socket: &mut Socket,
    peer: IpAddr,
    room: Room,
) -> PgWireResult<Option<Guest>> {
    let startup = match socket.next().await.transpose()? {
        None => return Ok(None),
        Some(PgWireFrontendMessage::CancelRequest(wish)) => {
            server.cancellations.cancel(wish.pid, &wish.secret_key);
            return Ok(None);
        }
        Some(PgWireFrontendMessage::Startup(startup)) => startup,
        Some(_) => return Err(fatal(PROTOCOL_VIOLATION, "a start-up message is wanted first")),
    };
    if room == Room::None {
        let limit = server.limits.connections_max;
        let message = format!("all {limit} connections of this server are taken");
        return Err(fatal(TOO_MANY_CONNECTIONS, message));
    }
    protocol_negotiation(socket, &startup).await?;
    ensure_acceptable(server, socket, &startup, peer)?;
    let user = startup.parameters.get("user").cloned().unwrap_or_default();
    socket.set_state(PgWireConnectionState::AuthenticationInProgress);
    let principal = authenticate(server, socket, &user, peer).await?;
    let settings = ClientSettings::new(&principal.name, &startup.parameters);
    let length = match socket.protocol_version() {
        ProtocolVersion::PROTOCOL3_0 => KeyLength::Short,
        _ => KeyLength::Long,
    };
    let ticket = CancelTicket::new(server, length);
    socket.set_pid_and_secret_key(ticket.number, ticket.key.clone());
    finish_authentication(socket, &settings).await?;
    Ok(Some(Guest { principal, settings, ticket }))
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Travel {
    Encrypted,
    InTheClear,
}

/// Refuses to talk in the clear to other machines, unless everybody may know everything.
fn ensure_private(travel: Travel, peer: IpAddr, access: &Access) -> PgWireResult<()> {
    if travel == Travel::Encrypted || peer.is_loopback() || access.is_open() {
        return Ok(());
    }
    Err(fatal("28000", "this server answers other machines through TLS only"))
}

/// Refuses what nobody else may hear from other machines, and what Habitué is not.
fn ensure_acceptable(
    server: &Server,
    socket: &Socket,
    startup: &Startup,
    peer: IpAddr,
) -> PgWireResult<()> {
    let travel = if socket.is_secure() { Travel::Encrypted } else { Travel::InTheClear };
    ensure_private(travel, peer, &server.access)?;
    let replication = startup.parameters.get("replication").map_or("false", String::as_str);
    if !matches!(replication, "false" | "off" | "no" | "0") {
        return Err(fatal(FEATURE_NOT_SUPPORTED, "replication is not supported"));
    }
    Ok(())
}

/// Who it is: by the certificate that TLS verified, or by the password.
async fn authenticate(
    server: &Server,
    socket: &mut Socket,
    user: &str,
    peer: IpAddr,
) -> PgWireResult<Principal> {
    let access = &server.access;
    if access.is_open() {
        let principal = access.by_password(user, "", Some(peer)).await;
        return principal.map_err(|error| refused(&error));
    }
    let certificate = socket.client_certificates().and_then(|found| found.first());
    if certificate.and_then(common_name).is_some_and(|name| name == user) {
        let principal = access.by_certificate(user).await;
        return principal.map_err(|error| refused(&error));
    }
    by_password(server, socket, user, peer).await
}

async fn by_password(
    server: &Server,
    socket: &mut Socket,
    user: &str,
    peer: IpAddr,
) -> PgWireResult<Principal> {
    let mechanisms = Authentication::SASL(vec![SCRAM.to_owned()]);
    socket.send(PgWireBackendMessage::Authentication(mechanisms)).await?;
    let first = password_message(socket).await?;
    let client_first = text(initial_response(&first)?)?;
    let client_first = ScramClientFirst::parse(client_first).map_err(|error| refused(&error))?;
    let verifier = server.access.scram(user).map_err(|error| refused(&error))?;
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let exchange = client_first.challenge(verifier, &BASE64_STANDARD.encode(nonce));
    let challenge = exchange.server_first().to_owned().into_bytes();
    let challenge = Authentication::SASLContinue(challenge.into());
    socket.send(PgWireBackendMessage::Authentication(challenge)).await?;
    let last = password_message(socket).await?;
    let proven = server.access.by_scram(user, Some(peer), &exchange, text(&last)?).await;
    let (principal, server_final) = proven.map_err(|error| refused(&error))?;
    let server_final = Authentication::SASLFinal(server_final.into_bytes().into());
    socket.feed(PgWireBackendMessage::Authentication(server_final)).await?;
    Ok(principal)
}

/// The bytes of a message that authenticates; pgwire's own reading of them trusts their lengths.
async fn password_message(socket: &mut Socket) -> PgWireResult<Bytes> {
    match socket.next().await.transpose()? {
        Some(PgWireFrontendMessage::PasswordMessageFamily(PasswordMessageFamily::Raw(bytes))) => {
            Ok(bytes.freeze())
        }
        _ => Err(fatal(PROTOCOL_VIOLATION, "a message that authenticates is wanted")),
    }
}

/// What follows the name of the mechanism and its own length.
fn initial_response(message: &[u8]) -> PgWireResult<&[u8]> {
    let rest = message.strip_prefix(SCRAM.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
    let response = rest.and_then(|rest| rest.split_at_checked(size_of::<i32>()));
    let wanted = || fatal(PROTOCOL_VIOLATION, format!("{SCRAM} is wanted to authenticate"));
    response.map(|(_, response)| response).ok_or_else(wanted)
}

fn text(bytes: &[u8]) -> PgWireResult<&str> {
    let text = std::str::from_utf8(bytes);
    text.map_err(|_| fatal(PROTOCOL_VIOLATION, "the message that authenticates is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{NewToken, Role, UsersFile};

    // If this fails, passwords and people's data go through the network in the clear.
    #[test]
    fn other_machines_are_answered_through_tls_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        let mut users = UsersFile::default();
        users.tokens.insert("a".into(), NewToken::generate(Role::Reader, None).entry);
        users.write(&path).unwrap();
        let closed = Access::from_file(&path).unwrap();
        let [here, there] = ["127.0.0.1", "192.0.2.1"].map(|peer| peer.parse().unwrap());
        assert!(ensure_private(Travel::InTheClear, there, &closed).is_err());
        ensure_private(Travel::InTheClear, here, &closed).unwrap();
        ensure_private(Travel::Encrypted, there, &closed).unwrap();
        ensure_private(Travel::InTheClear, there, &Access::open()).unwrap();
    }
}
