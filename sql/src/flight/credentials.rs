//! What a request brings to say who sends it.

use crate::flight::handle::Handle;
use crate::flight::sessions::Wanted;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use std::net::SocketAddr;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// The cookie that names a session; the name is Arrow Flight's own.
pub(super) const SESSION_COOKIE: &str = "arrow_flight_session_id";
/// Between the access token and the session in the token of a Handshake.
const SESSION_SEPARATOR: char = '~';

/// What the `authorization` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorization {
    Nothing,
    Password { user: String, password: String },
    Token { token: String, session: Option<Handle> },
}

/// Reads the `authorization` header.
pub(super) fn authorization(metadata: &MetadataMap) -> Result<Authorization, Status> {
    let Some(value) = metadata.get("authorization") else { return Ok(Authorization::Nothing) };
    let refused = || Status::unauthenticated("the authorization header cannot be read");
    let value = value.to_str().map_err(|_| refused())?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(refused)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(token(rest.trim()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        // Go's client leaves the padding out, others have it.
        let decoded = BASE64_STANDARD_NO_PAD.decode(rest.trim().trim_end_matches('='));
        let decoded = decoded.map_err(|_| refused())?;
        let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
        let (user, password) = decoded.split_once(':').ok_or_else(refused)?;
        let (user, password) = (user.to_owned(), password.to_owned());
        return Ok(Authorization::Password { user, password });
    }
    Err(Status::unauthenticated("the authorization is wanted as Basic or Bearer"))
}

fn token(text: &str) -> Authorization {
    let split = text.rsplit_once(SESSION_SEPARATOR);
    let named = split.and_then(|(token, id)| Some((token, Handle::from_text(id)?)));
    match named {
        Some((token, id)) => Authorization::Token { token: token.to_owned(), session: Some(id) },
        None => Authorization::Token { token: text.to_owned(), session: None },
    }
}

/// The token that a Handshake answers.
pub(super) fn token_of(access_token: &str, session: Handle) -> String {
    format!("{access_token}{SESSION_SEPARATOR}{session}")
}

/// Which session a request means.
pub(super) fn wanted(
    authorization: &Authorization,
    metadata: &MetadataMap,
    peer: Option<SocketAddr>,
) -> Wanted {
    if let Authorization::Token { session: Some(id), .. } = authorization {
        return Wanted::Named(*id);
    }
    session_cookie(metadata).map_or(Wanted::OfConnection(peer), Wanted::Named)
}

fn session_cookie(metadata: &MetadataMap) -> Option<Handle> {
    let headers = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let cookies = headers.flat_map(|header| header.split(';'));
    let mut named = cookies.filter_map(|cookie| cookie.trim().split_once('='));
    named.find_map(|(name, value)| (name == SESSION_COOKIE).then(|| Handle::from_text(value))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &'static str, value: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(key, value.parse().unwrap());
        metadata
    }

    #[test]
    fn a_password_may_hold_colons_and_its_padding_may_be_missing() {
        for encoded in ["YWRhOmE6Yg==", "YWRhOmE6Yg"] {
            let metadata = with("authorization", &format!("Basic {encoded}"));
            let (user, password) = ("ada".to_owned(), "a:b".to_owned());
            let expected = Authorization::Password { user, password };
            assert_eq!(authorization(&metadata).unwrap(), expected);
        }
    }

    #[test]
    fn the_token_of_a_handshake_names_its_session() {
        let id = Handle::random();
        let metadata = with("authorization", &format!("Bearer {}", token_of("secret", id)));
        let read = authorization(&metadata).unwrap();
        assert_eq!(wanted(&read, &metadata, None), Wanted::Named(id));
        assert!(matches!(read, Authorization::Token { token, .. } if token == "secret"));
    }

    #[test]
    fn a_cookie_among_others_names_the_session() {
        let id = Handle::random();
        let metadata = with("cookie", &format!("a=b; {SESSION_COOKIE}={id}; c=d"));
        assert_eq!(wanted(&Authorization::Nothing, &metadata, None), Wanted::Named(id));
    }

    #[test]
    fn what_is_neither_basic_nor_bearer_is_refused() {
        for value in ["", "Bearer", "Basic !!", "Digest x", "Basic YQ=="] {
            assert!(authorization(&with("authorization", value)).is_err(), "{value}");
        }
    }
}
