//! All sessions of the server, and who is in which.
//!
//! Flight knows requests, not connections. A client that logs in by Handshake gets a token with the
//! id of its session in it. A client that brings a long-lived token or a certificate shares the
//! session of its TCP connection, and is told its id as a cookie (`arrow_flight_session_id`); once
//! it sends the cookie back the session is its own. Settings and temporary tables are refused in
//! a shared session, because a proxy may carry several clients over one connection and a client may
//! change its connection unseen: an answer would then depend on who else is there.

use crate::flight::execution::Execution;
use crate::flight::handle::Handle;
use crate::flight::session::{ClientSession, PreparedStatement};
use crate::session::Session;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// So many sessions at a time: each holds a context of about a hundred KiB.
pub(super) const SESSIONS_MAX: usize = 2_000;
/// When there is no room, a session that has asked nothing for so long makes some: clients that
/// connect for each question leave many behind.
const UNUSED_MIN: Duration = Duration::from_secs(60);

/// How a request says which session it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The one that a Handshake made, or whose cookie came back.
    Named(Handle),
    /// The one of the connection.
    OfConnection(Option<SocketAddr>),
}

/// All sessions of the server.
pub(super) struct Sessions {
    idle_max: Duration,
    open: Mutex<Open>,
}

struct Open {
    by_id: HashMap<Handle, Arc<ClientSession>>,
    by_connection: HashMap<(String, Option<SocketAddr>), Handle>,
    sessions_max: usize,
}

impl Sessions {
    pub(super) fn new(idle_max: Duration, sessions_max: usize) -> Self {
        let (by_id, by_connection) = (HashMap::new(), HashMap::new());
        Self { idle_max, open: Mutex::new(Open { by_id, by_connection, sessions_max }) }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a request means; that of a connection is made when it is first wanted.
    pub(super) fn find(
        &self,
        owner: &str,
        wanted: Wanted,
        now: Instant,
        make: impl FnOnce() -> Session,
    ) -> Result<Arc<ClientSession>, Status> {
        let found = match wanted {
            Wanted::Named(id) => {
                let found = self.open().by_id.get(&id).cloned();
                let found = found.filter(|session| session.owner == owner);
                let found = found.filter(|session| !session.is_idle(now, self.idle_max));
                let gone = || Status::unauthenticated("this session has ended, connect again");
                let found = found.ok_or_else(gone)?;
                found.claim();
                found
            }
            Wanted::OfConnection(peer) => self.of_connection(owner, peer, now, make)?,
        };
        found.touch(now);
        Ok(found)
    }

    fn of_connection(
        &self,
        owner: &str,
        peer: Option<SocketAddr>,
        now: Instant,
        make: impl FnOnce() -> Session,
    ) -> Result<Arc<ClientSession>, Status> {
        let key = (owner.to_owned(), peer);
        let mut open = self.open();
        let known = open.by_connection.get(&key).and_then(|id| open.by_id.get(id)).cloned();
        if let Some(known) = known.filter(|session| !session.is_idle(now, self.idle_max)) {
            return Ok(known);
        }
        let session = open.add(owner, make(), now)?;
        open.by_connection.insert(key, session.id);
        Ok(session)
    }

    /// A session of its own for a client that logged in.
    pub(super) fn begin(
        &self,
        owner: &str,
        session: Session,
        now: Instant,
    ) -> Result<Arc<ClientSession>, Status> {
        let session = self.open().add(owner, session, now)?;
        session.claim();
        Ok(session)
    }

    /// Ends a session and what runs in it.
    pub(super) fn end(&self, id: Handle) {
        self.open().end(id);
    }

    /// Ends the sessions that nobody has used for too long.
    pub(super) fn end_idle(&self, now: Instant) {
        let idle = {
            let open = self.open();
            let idle = open.by_id.values().filter(|session| session.is_idle(now, self.idle_max));
            idle.map(|session| session.id).collect::<Vec<_>>()
        };
        for id in idle {
            self.end(id);
        }
    }

    /// Ends everything, when the server goes.
    pub(super) fn end_all(&self) {
        let all: Vec<Handle> = self.open().by_id.keys().copied().collect();
        for id in all {
            self.end(id);
        }
    }

    /// An execution of this owner, in whichever of its sessions: a client may read a ticket
    /// over another connection than it got it.
    pub(super) fn execution(
        &self,
        owner: &str,
        handle: Handle,
    ) -> Result<(Arc<ClientSession>, Arc<Execution>), Status> {
        self.search(owner, |session| session.execution(handle))
            .ok_or_else(|| Status::not_found("this ticket is unknown or has expired"))
    }

    /// A prepared statement of this owner.
    pub(super) fn prepared(
        &self,
        owner: &str,
        handle: Handle,
    ) -> Result<(Arc<ClientSession>, Arc<PreparedStatement>), Status> {
        self.search(owner, |session| session.prepared(handle))
            .ok_or_else(|| Status::not_found("this prepared statement is unknown or was closed"))
    }

    fn search<T>(
        &self,
        owner: &str,
        look: impl Fn(&ClientSession) -> Option<T>,
    ) -> Option<(Arc<ClientSession>, T)> {
        let open = self.open();
        let mut own = open.by_id.values().filter(|session| session.owner == owner);
        own.find_map(|session| look(session).map(|found| (session.clone(), found)))
    }
}

impl Open {
    fn add(
        &mut self,
        owner: &str,
        session: Session,
        now: Instant,
    ) -> Result<Arc<ClientSession>, Status> {
        if self.by_id.len() >= self.sessions_max {
            let unused = self.longest_unused(now).ok_or_else(|| {
                let message = format!("{} sessions are open, try again later", self.sessions_max);
                Status::resource_exhausted(message)
            })?;
            self.end(unused);
        }
        let session = Arc::new(ClientSession::new(owner, session, now));
        self.by_id.insert(session.id, session.clone());
        Ok(session)
    }

    /// The session that is missed least: nobody keeps anything in one that is shared.
    fn longest_unused(&self, now: Instant) -> Option<Handle> {
        let unused = self.by_id.values().filter(|session| session.is_idle(now, UNUSED_MIN));
        unused.min_by_key(|session| (session.is_alone(), session.used_at())).map(|found| found.id)
    }

    fn end(&mut self, id: Handle) {
        if let Some(session) = self.by_id.remove(&id) {
            session.end();
        }
        self.by_connection.retain(|_, session| *session != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Database, DatabaseOptions};
    use habitue_storage::bucket::Bucket;
    use habitue_storage::catalog::Catalog;
    use habitue_storage::store::Store;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn database() -> Database {
        let bucket = Bucket::open("memory://").await.unwrap();
        let store = Store::create(bucket, Catalog::default()).await.unwrap();
        Database::new(store, DatabaseOptions::default()).unwrap()
    }

    fn of_port(port: u16) -> Wanted {
        Wanted::OfConnection(Some(([127, 0, 0, 1], port).into()))
    }

    #[tokio::test]
    async fn a_session_that_nobody_uses_makes_room_and_one_in_use_does_not() {
        let database = database().await;
        let sessions = Sessions::new(HOUR, 2);
        let begun = Instant::now();
        let own = sessions.begin("ada", database.session(), begun).unwrap();
        let shared = sessions.find("ada", of_port(1), begun, || database.session()).unwrap();
        let soon = begun + Duration::from_secs(1);
        assert!(sessions.find("ada", of_port(2), soon, || database.session()).is_err());
        let later = begun + Duration::from_secs(61);
        let next = sessions.find("ada", of_port(2), later, || database.session()).unwrap();
        let find = |id| sessions.find("ada", Wanted::Named(id), later, || database.session());
        assert!(find(shared.id).is_err(), "the shared one was not ended first");
        assert!(find(own.id).is_ok() && find(next.id).is_ok());
    }

    #[tokio::test]
    async fn an_idle_session_ends_and_is_not_made_again_in_secret() {
        let database = database().await;
        let sessions = Sessions::new(HOUR, 10);
        let begun = Instant::now();
        let own = sessions.begin("ada", database.session(), begun).unwrap();
        let find = |owner: &str, now| {
            sessions.find(owner, Wanted::Named(own.id), now, || database.session())
        };
        assert!(find("eve", begun).is_err(), "somebody else's session was given away");
        assert!(find("ada", begun + HOUR).is_ok());
        assert!(find("ada", begun + HOUR * 3).is_err());
        sessions.end_idle(begun + HOUR * 3);
        assert!(sessions.open().by_id.is_empty());
    }
}
