//! Who calls, and in which session: found out before anything else is done for a request.

use crate::access::{AccessError, Principal, Proof};
use crate::flight::connections::{Peer, Place};
use crate::flight::credentials::{Authorization, SESSION_COOKIE, authorization, token_of, wanted};
use crate::flight::server::Server;
use crate::flight::session::ClientSession;
use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use prost::Message;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Extensions, Request, Response, Status, Streaming};

/// A client that says nothing in its Handshake is not waited for.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Who calls.
pub(super) struct Caller {
    pub(super) owner: String,
    pub(super) client: Arc<ClientSession>,
    /// Whether the client keeps its session by the cookie that answers carry.
    wants_cookie: bool,
}

impl Caller {
    /// The answer, with the session's cookie if the client needs it.
    pub(super) fn response<T>(&self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        let cookie = format!("{SESSION_COOKIE}={}; Path=/; HttpOnly", self.client.id);
        if self.wants_cookie
            && let Ok(cookie) = AsciiMetadataValue::try_from(cookie)
        {
            response.metadata_mut().insert("set-cookie", cookie);
        }
        response
    }
}

/// The status for who may not connect.
pub(super) fn refused(error: &AccessError) -> Status {
    match error {
        AccessError::Refused | AccessError::Malformed(_) => {
            Status::unauthenticated(error.to_string())
        }
        AccessError::TooManyAttempts { .. } => Status::resource_exhausted(error.to_string()),
        AccessError::ShuttingDown => Status::unavailable(error.to_string()),
        // What is wrong with the users file is for its administrator, not for a stranger.
        _ => Status::unavailable("the server cannot check who you are, ask its administrator"),
    }
}

/// The name under which a principal owns its sessions. A role that changed owns none of the
/// sessions that were made under the other one.
fn owner_of(principal: &Principal) -> String {
    let kind = match principal.proof {
        Proof::Token => "token",
        _ => "user",
    };
    format!("{kind}:{}:{}", principal.name, principal.role)
}

fn peer_of(extensions: &Extensions) -> Result<Peer, Status> {
    let unknown = Peer { address: None, common_name: None, place: Place::Taken };
    let peer = extensions.get::<Peer>().cloned().unwrap_or(unknown);
    match peer.place {
        Place::Taken => Ok(peer),
        Place::Full => Err(Status::resource_exhausted(
            "the server has as many connections as it may have, try again later",
        )),
    }
}

fn ip_of(peer: &Peer) -> Option<IpAddr> {
    peer.address.map(|address| address.ip())
}

impl Server {
    /// Lets a request in, or not: everything but a Handshake comes through here.
    pub(super) async fn admit<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let peer = peer_of(&extensions)?;
        let authorization = authorization(&metadata)?;
        let principal = match &authorization {
            Authorization::Password { .. } => {
                return Err(Status::unauthenticated(
                    "log in with user and password by Handshake; it answers a Bearer token",
                ));
            }
            Authorization::Token { token, .. } => {
                self.access.by_token(token, ip_of(&peer)).await.map_err(|error| refused(&error))?
            }
            Authorization::Nothing => self.without_header(&peer).await?,
        };
        let owner = owner_of(&principal);
        let wanted = wanted(&authorization, &metadata, peer.address);
        let make = || self.session_of(&principal);
        let client = self.sessions.find(&owner, wanted, Instant::now(), make)?;
        let wants_cookie = !matches!(authorization, Authorization::Token { session: Some(_), .. });
        Ok((Caller { owner, client, wants_cookie }, message))
    }

    /// Who needs no header: the holder of a certificate, or everybody on a server that asks nobody.
    async fn without_header(&self, peer: &Peer) -> Result<Principal, Status> {
        let principal = match (&peer.common_name, self.access.is_open()) {
            (_, true) => self.access.by_token("", ip_of(peer)).await,
            (Some(name), false) => self.access.by_certificate(name).await,
            (None, false) => {
                let message = "no authorization header came: log in by Handshake, or send a token";
                return Err(Status::unauthenticated(message));
            }
        };
        principal.map_err(|error| refused(&error))
    }

    /// Lets a client log in, and gives it a session of its own and the token for it.
    pub(super) async fn log_in(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<HandshakeResponse>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let peer = peer_of(&extensions)?;
        let ip = ip_of(&peer);
        let principal = match authorization(&metadata)? {
            Authorization::Password { user, password } => {
                self.access.by_password(&user, &password, ip).await
            }
            Authorization::Token { token, .. } => self.access.by_token(&token, ip).await,
            Authorization::Nothing => match password_in(messages).await? {
                Some(login) => self.access.by_password(&login.username, &login.password, ip).await,
                None => Ok(self.without_header(&peer).await?),
            },
        };
        let principal = principal.map_err(|error| refused(&error))?;
        let session = self.session_of(&principal);
        let client = self.sessions.begin(&owner_of(&principal), session, Instant::now())?;
        let token = token_of(&self.access.session_token(&principal).token, client.id);
        let payload = token.clone().into_bytes().into();
        let mut response = Response::new(HandshakeResponse { protocol_version: 0, payload });
        let header = AsciiMetadataValue::try_from(format!("Bearer {token}"));
        let header = header.map_err(|_| Status::internal("the token cannot be sent"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }
}

/// The first message of a Handshake may carry user and password instead of the header.
async fn password_in(
    mut messages: Streaming<HandshakeRequest>,
) -> Result<Option<BasicAuth>, Status> {
    let first = timeout(HANDSHAKE_MAX, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("nothing came in the Handshake"))??;
    let Some(first) = first.filter(|first| !first.payload.is_empty()) else { return Ok(None) };
    let login = BasicAuth::decode(first.payload);
    login.map(Some).map_err(|_| Status::unauthenticated("the Handshake cannot be understood"))
}
