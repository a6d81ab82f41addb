//! Who may connect, as whom, and what a connection may cost: shared by the servers.
//!
//! [`Access`] answers the one question "who is this?" for passwords, tokens and certificates, from a
//! [`UsersFile`] that the administrator writes with `habitue user` and `habitue token`. What the
//! answer allows is a [`Role`]; what a connection may cost is in [`ServerLimits`].

mod error;
mod limits;
mod password;
mod principal;
mod role;
mod scram;
mod session_tokens;
mod shutdown;
mod throttle;
mod tls;
mod token;
mod user;
mod users_file;

pub use crate::session::Turns;
pub use error::AccessError;
pub use limits::ServerLimits;
pub use principal::{Principal, Proof};
pub use role::Role;
#[cfg(feature = "postgres")]
pub(crate) use scram::{ScramClientFirst, ScramExchange};
pub use session_tokens::SessionToken;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use tls::TlsFiles;
#[cfg(any(feature = "flight", feature = "postgres"))]
pub(crate) use tls::common_name;
pub use token::{NewToken, TokenEntry};
pub use user::UserEntry;
pub use users_file::UsersFile;

use crate::access::scram::ScramVerifier;
use crate::access::session_tokens::SessionTokens;
use crate::access::throttle::{Attempt, Throttle};
use chrono::Utc;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// So many passwords are hashed at a time: each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// Who would have to wait longer than this is sent away at once.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The name of everybody when nobody has to say who they are.
const ANONYMOUS: &str = "anonymous";

/// Decides who may connect. Clones share everything.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    /// Absent: everybody is an administrator.
    file: Option<Mutex<WatchedFile>>,
    throttle: Mutex<Throttle>,
    hashing: Semaphore,
    sessions: Mutex<SessionTokens>,
}

/// The users file as it was read, and what tells that it has changed since.
struct WatchedFile {
    path: PathBuf,
    stamp: Stamp,
    users: Arc<UsersFile>,
}

/// The time of the last change and the length.
type Stamp = (Option<SystemTime>, u64);

impl Access {
    /// Everybody is an administrator called `anonymous`: for `--insecure` and for tests.
    pub fn open() -> Self {
        Self::new(None)
    }

    /// Those who are in the file. A change of the file counts from the next connection on.
    ///
    /// # Errors
    /// [`AccessError::UsersFile`] when it cannot be read, [`AccessError::NobodyMayConnect`] when
    /// it has neither users nor tokens.
    pub fn from_file(path: &Path) -> Result<Self, AccessError> {
        let stamp = stamp_of(path)?;
        let users = Arc::new(UsersFile::read(path)?);
        if users.is_empty() {
            return Err(AccessError::NobodyMayConnect { path: path.into() });
        }
        Ok(Self::new(Some(Mutex::new(WatchedFile { path: path.into(), stamp, users }))))
    }

    fn new(file: Option<Mutex<WatchedFile>>) -> Self {
        let inner = Inner {
            file,
            throttle: Mutex::default(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            sessions: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.inner.file.is_none()
    }

    /// Who has this name and this password. An unknown name, a wrong password and an expired user
    /// get the same answer after the same work.
    ///
    /// # Errors
    /// [`AccessError::Refused`], or [`AccessError::TooManyAttempts`] after many failures.
    pub async fn by_password(
        &self,
        user: &str,
        password: &str,
        peer: Option<IpAddr>,
    ) -> Result<Principal, AccessError> {
        let Some(users) = self.users()? else { return Ok(anonymous()) };
        let attempt = Attempt::new(user, peer);
        let permit = loop {
            let permit = self.inner.hashing.acquire().await;
            let permit = permit.map_err(|_| AccessError::ShuttingDown)?;
            match self.wait_of(&attempt) {
                None => break permit,
                Some(wait) => {
                    drop(permit);
                    sleep_at_most(wait).await?;
                }
            }
        };
        let entry = users.users.get(user).filter(|user| !user.is_expired(Utc::now()));
        let hash = entry.map_or(password::MOCK_HASH, |user| user.argon2.as_str()).to_owned();
        let typed = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || password::matches(&typed, &hash)).await;
        let matches = checked.unwrap_or(false);
        drop(permit);
        match entry.filter(|_| matches) {
            Some(entry) => Ok(self.admitted(&attempt, user, entry.role, Proof::Password)),
            None => Err(self.refused(&attempt)),
        }
    }

    /// Who has this token: a long-lived one of the users file, or one of [`Access::session_token`].
    ///
    /// # Errors
    /// [`AccessError::Refused`], after a wait that grows with the failures of the peer.
    pub async fn by_token(
        &self,
        token: &str,
        peer: Option<IpAddr>,
    ) -> Result<Principal, AccessError> {
        let Some(users) = self.users()? else { return Ok(anonymous()) };
        let hash = token::hash(token);
        if let Some((name, entry)) = users.token_with(&hash, Utc::now()) {
            return Ok(Principal::new(name, entry.role, Proof::Token));
        }
        let session = locked(&self.inner.sessions).owner(&hash, Utc::now());
        if let Some(principal) = session.and_then(|owner| still_there(&users, &owner)) {
            return Ok(principal);
        }
        // Nobody guesses a token, so a right one never waits for the wrong ones of a neighbour.
        let attempt = Attempt::of_peer(peer);
        let error = self.refused(&attempt);
        if let Some(wait) = self.wait_of(&attempt) {
            tokio::time::sleep(wait).await;
        }
        Err(error)
    }

    /// Who has this name in a client certificate that TLS has verified.
    ///
    /// # Errors
    /// [`AccessError::Refused`] when there is no such user.
    pub async fn by_certificate(&self, common_name: &str) -> Result<Principal, AccessError> {
        let Some(users) = self.users()? else { return Ok(anonymous()) };
        let user = users.users.get(common_name).filter(|user| !user.is_expired(Utc::now()));
        let user = user.ok_or(AccessError::Refused)?;
        Ok(Principal::new(common_name, user.role, Proof::Certificate))
    }

    /// A token that stands for `principal` for some hours, and only while it is in the users file.
    pub fn session_token(&self, principal: &Principal) -> SessionToken {
        locked(&self.inner.sessions).issue(principal, Utc::now())
    }

    /// What a SCRAM exchange with this user is checked against; unknown users have one, too.
    pub(crate) fn scram(&self, user: &str) -> Result<ScramVerifier, AccessError> {
        let users = self.users()?.unwrap_or_default();
        let entry = users.users.get(user).filter(|user| !user.is_expired(Utc::now()));
        match entry {
            Some(user) => Ok(user.scram.parse()?),
            None => Ok(ScramVerifier::mock(&users.secret, user)),
        }
    }

    /// Ends a SCRAM exchange: who it is, and what the server says to prove itself.
    #[cfg(feature = "postgres")]
    pub(crate) async fn by_scram(
        &self,
        user: &str,
        peer: Option<IpAddr>,
        exchange: &ScramExchange,
        client_final: &str,
    ) -> Result<(Principal, String), AccessError> {
        let users = self.users()?.unwrap_or_default();
        let attempt = Attempt::new(user, peer);
        while let Some(wait) = self.wait_of(&attempt) {
            sleep_at_most(wait).await?;
        }
        let proven = exchange.finish(client_final);
        let entry = users.users.get(user).filter(|user| !user.is_expired(Utc::now()));
        match (entry, proven) {
            (Some(entry), Ok(server_final)) => {
                let principal = self.admitted(&attempt, user, entry.role, Proof::Password);
                Ok((principal, server_final))
            }
            _ => Err(self.refused(&attempt)),
        }
    }

    /// How long an attempt has to wait; the lock is not held while it does.
    fn wait_of(&self, attempt: &Attempt) -> Option<Duration> {
        locked(&self.inner.throttle).wait(attempt, Instant::now())
    }

    fn admitted(&self, attempt: &Attempt, name: &str, role: Role, proof: Proof) -> Principal {
        locked(&self.inner.throttle).succeeded(attempt);
        Principal::new(name, role, proof)
    }

    fn refused(&self, attempt: &Attempt) -> AccessError {
        locked(&self.inner.throttle).failed(attempt, Instant::now());
        AccessError::Refused
    }

    /// The users as the file says at this moment; absent when everybody may do everything.
    fn users(&self) -> Result<Option<Arc<UsersFile>>, AccessError> {
        let Some(file) = &self.inner.file else { return Ok(None) };
        let mut file = locked(file);
        let stamp = stamp_of(&file.path)?;
        if stamp != file.stamp {
            file.users = Arc::new(UsersFile::read(&file.path)?);
            file.stamp = stamp;
        }
        Ok(Some(file.users.clone()))
    }
}

fn anonymous() -> Principal {
    Principal::new(ANONYMOUS, Role::Admin, Proof::NotAsked)
}

/// Whoever got a session token has the role that the file says now.
fn still_there(users: &UsersFile, owner: &Principal) -> Option<Principal> {
    let now = Utc::now();
    let role = match owner.proof {
        Proof::Token => users.tokens.get(&owner.name).filter(|token| !token.is_expired(now))?.role,
        _ => users.users.get(&owner.name).filter(|user| !user.is_expired(now))?.role,
    };
    Some(Principal::new(&owner.name, role, owner.proof))
}

async fn sleep_at_most(wait: Duration) -> Result<(), AccessError> {
    if wait > WAIT_MAX {
        return Err(AccessError::TooManyAttempts { retry_after: wait });
    }
    tokio::time::sleep(wait).await;
    Ok(())
}

fn stamp_of(path: &Path) -> Result<Stamp, AccessError> {
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|error| AccessError::file(path, error.to_string()))?;
    Ok((metadata.modified().ok(), metadata.len()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
