//! Tokens that stand for a principal who has logged in, for some hours.

use crate::access::{Principal, token};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;

/// How long a token lasts; drivers log in again when it has ended.
const HOURS: i64 = 8;
/// So many at a time; beyond that the one that ends first makes room.
const TOKENS_MAX: usize = 10_000;

/// A token for the session of somebody who has logged in.
#[derive(Clone, Debug)]
pub struct SessionToken {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// The tokens that were given out, by their hash.
#[derive(Default)]
pub(super) struct SessionTokens {
    owners: HashMap<String, (Principal, DateTime<Utc>)>,
}

impl SessionTokens {
    pub(super) fn issue(&mut self, owner: &Principal, now: DateTime<Utc>) -> SessionToken {
        self.owners.retain(|_, (_, expires_at)| *expires_at > now);
        if self.owners.len() >= TOKENS_MAX {
            let first = self.owners.iter().min_by_key(|(_, (_, expires_at))| *expires_at);
            let first = first.map(|(hash, _)| hash.clone()).unwrap_or_default();
            self.owners.remove(&first);
        }
        let token = token::random();
        let expires_at = now + TimeDelta::hours(HOURS);
        self.owners.insert(token::hash(&token), (owner.clone(), expires_at));
        SessionToken { token, expires_at }
    }

    /// Whose token has this hash. The hash of a random text tells nothing through its timing.
    pub(super) fn owner(&self, hash: &str, now: DateTime<Utc>) -> Option<Principal> {
        let (owner, expires_at) = self.owners.get(hash)?;
        (*expires_at > now).then(|| owner.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Proof, Role};

    #[test]
    fn a_session_token_ends() {
        let mut tokens = SessionTokens::default();
        let ada = Principal::new("ada", Role::Reader, Proof::Password);
        let now = Utc::now();
        let issued = tokens.issue(&ada, now);
        let hash = token::hash(&issued.token);
        assert_eq!(tokens.owner(&hash, now), Some(ada.clone()));
        assert_eq!(tokens.owner(&hash, issued.expires_at), None);
        assert_eq!(tokens.owner(&token::hash("guess"), now), None);
        tokens.issue(&ada, issued.expires_at);
        assert_eq!(tokens.owners.len(), 1, "an ended token takes no room");
    }
}
