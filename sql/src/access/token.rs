//! Tokens: long random texts that stand for their owner.

use crate::access::Role;
use crate::access::users_file::time;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// How a token begins, so that people and scanners of secrets know it.
const PREFIX: &str = "habitue_";
/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;

/// A token of the users file, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// What its holder may do.
    pub role: Role,
    /// The SHA-256 of the token, in hexadecimal digits.
    pub sha256: String,
    /// When it ends.
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenEntry {
    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// A token that was just made: the only moment in which it can be read.
#[derive(Debug)]
pub struct NewToken {
    /// The token.
    pub token: String,
    /// What is kept of it.
    pub entry: TokenEntry,
}

impl NewToken {
    /// Makes one.
    pub fn generate(role: Role, expires_at: Option<DateTime<Utc>>) -> Self {
        let token = random();
        let entry = TokenEntry { role, sha256: hash(&token), expires_at };
        Self { token, entry }
    }
}

/// A new random token.
pub(super) fn random() -> String {
    let bytes: [u8; RANDOM_BYTES] = rand::random();
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a token. It is random, so one fast hash is enough.
pub(super) fn hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_its_hash() {
        let made = NewToken::generate(Role::Reader, None);
        assert_eq!(hash(&made.token), made.entry.sha256);
        assert!(!format!("{:?}", made.entry).contains(&made.token));
        assert_eq!(made.token.len(), PREFIX.len() + 43);
        assert_ne!(made.token, random());
    }
}
