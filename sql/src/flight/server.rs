//! What all requests share.

use crate::access::{Access, Principal, ServerLimits};
use crate::flight::metadata::{ServerFacts, sql_info, xdbc_types};
use crate::flight::sessions::{SESSIONS_MAX, Sessions};
use crate::session::{Database, Session};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};

/// The server.
pub(super) struct Server {
    pub(super) database: Database,
    pub(super) access: Access,
    pub(super) limits: ServerLimits,
    pub(super) sessions: Sessions,
    pub(super) sql_info: SqlInfoData,
    pub(super) xdbc_types: XdbcTypeInfoData,
}

impl Server {
    pub(super) fn new(
        database: Database,
        access: Access,
        limits: ServerLimits,
    ) -> Result<Self, FlightError> {
        let facts = ServerFacts {
            connections_max: limits.connections_max,
            statements_max: limits.turns.at_once(),
            session_idle_max: limits.session_idle_max,
        };
        let sql_info = sql_info(&database.session(), facts)?;
        Ok(Self {
            sessions: Sessions::new(limits.session_idle_max, SESSIONS_MAX),
            sql_info,
            xdbc_types: xdbc_types()?,
            database,
            access,
            limits,
        })
    }

    /// A new session with the rights and limits of a principal.
    pub(super) fn session_of(&self, principal: &Principal) -> Session {
        self.database.session_with(self.limits.session_options(principal))
    }
}
