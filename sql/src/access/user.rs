//! A user with a password.

use crate::access::scram::ScramVerifier;
use crate::access::users_file::time;
use crate::access::{AccessError, Role, password};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A user of the users file: what is kept of the password can check it, but is not it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// What the user may do.
    pub role: Role,
    /// The argon2id hash, for whoever sends the password (Flight).
    pub argon2: String,
    /// The SCRAM-SHA-256 verifier, for whoever proves to know it (Postgres).
    pub scram: String,
    /// When the user ends.
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl UserEntry {
    /// A user with this password.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] when the password is too short or too long.
    pub fn new(
        role: Role,
        password: &str,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Self, AccessError> {
        let argon2 = password::hash(password)?;
        let scram = ScramVerifier::of_password(password).to_string();
        Ok(Self { role, argon2, scram, expires_at })
    }

    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}
