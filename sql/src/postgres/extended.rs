//! The extended protocol: statements are prepared, get values, and are read in portions.

use crate::postgres::connection::{Connection, Done};
use crate::postgres::failure::{PROTOCOL_VIOLATION, UNKNOWN_CURSOR, UNKNOWN_STATEMENT, failed};
use crate::postgres::rows::{self, Rows};
use crate::postgres::split::pieces;
use crate::postgres::statement::{Understood, understand};
use crate::postgres::{command::Command, parameters};
use crate::session::Parameter;
use datafusion::common::ScalarValue;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{FieldInfo, Tag};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::data::{
    FieldDescription, NoData, ParameterDescription, RowDescription,
};
use datafusion_postgres::pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended, TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use datafusion_postgres::pgwire::messages::response::EmptyQueryResponse;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;

/// Statements and portals that one connection may have at a time.
const KEPT_MAX: usize = 5_000;

/// What a connection has prepared.
#[derive(Default)]
pub(super) struct Extended {
    statements: HashMap<String, Arc<Stored>>,
    portals: HashMap<String, Portal>,
    /// After an error everything is left out until the client has heard of it.
    skipping: bool,
}

/// A prepared statement.
struct Stored {
    /// Absent when the text was empty.
    understood: Option<Understood>,
    /// The types that the client gave its parameters.
    given: Vec<Option<Type>>,
}

impl Stored {
    fn wanted(&self) -> &[Parameter] {
        match &self.understood {
            Some(Understood::Statement(statement)) => statement.prepared.parameters(),
            _ => &[],
        }
    }

    /// The columns of its answer, if it has any.
    fn fields(&self, format: &Format) -> PgWireResult<Option<Vec<FieldInfo>>> {
        match &self.understood {
            Some(Understood::Statement(statement)) if statement.has_columns() => {
                rows::fields(statement.prepared.schema(), format).map(Some)
            }
            Some(Understood::Command(Command::Show(name))) => {
                let name = name.as_deref().unwrap_or("setting").to_lowercase();
                Ok(Some(rows::of_text(&name, Vec::new())?.fields.to_vec()))
            }
            _ => Ok(None),
        }
    }
}

/// A statement with its values, and how far its rows were read.
struct Portal {
    stored: Arc<Stored>,
    format: Format,
    progress: Progress,
}

enum Progress {
    Bound(Vec<ScalarValue>),
    Reading(Rows),
    Ended,
}

impl Extended {
    /// Forgets a statement, or all of them.
    pub(super) fn deallocate(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.statements.remove(name)),
            None => self.statements.clear(),
        }
    }

    pub(super) fn close_portals(&mut self) {
        self.portals.clear();
    }

    fn ensure_room(&self) -> PgWireResult<()> {
        if self.statements.len().max(self.portals.len()) < KEPT_MAX {
            return Ok(());
        }
        let message = format!("more than {KEPT_MAX} prepared statements; close some");
        Err(failed("53400", message))
    }
}

impl Connection {
    /// Answers a message of the extended protocol; an error of a statement is told, and what
    /// follows is left out until `Sync`.
    pub(super) async fn extended(&mut self, message: PgWireFrontendMessage) -> PgWireResult<()> {
        if self.extended.skipping {
            return Ok(());
        }
        let answered = match message {
            PgWireFrontendMessage::Parse(parse) => self.parse(parse).await,
            PgWireFrontendMessage::Bind(bind) => self.bind(&bind).await,
            PgWireFrontendMessage::Describe(describe) => self.describe(&describe).await,
            PgWireFrontendMessage::Execute(execute) => self.execute(&execute).await,
            PgWireFrontendMessage::Close(close) => self.close(&close).await,
            _ => Ok(()),
        };
        match answered {
            Ok(()) => Ok(()),
            Err(error) => {
                self.extended.skipping = true;
                self.tell(error).await?;
                self.flush().await
            }
        }
    }

    /// The client has heard of everything.
    pub(super) async fn sync(&mut self) -> PgWireResult<()> {
        self.extended.skipping = false;
        if !self.is_in_transaction() {
            self.extended.close_portals();
        }
        self.ready().await
    }

    async fn parse(&mut self, parse: Parse) -> PgWireResult<()> {
        self.extended.ensure_room()?;
        let name = parse.name.unwrap_or_default();
        if !name.is_empty() && self.extended.statements.contains_key(&name) {
            return Err(failed("42P05", format!("prepared statement '{name}' exists already")));
        }
        let given = parse.type_oids.iter().map(|oid| Type::from_oid(*oid)).collect();
        let understood = match pieces(&parse.query).as_slice() {
            [] => None,
            [piece] => {
                let (text, before) = (piece.text, piece.before);
                Some(understand(&self.session, &self.dialect, text, before).await?)
            }
            _ => {
                let message = "several statements cannot be prepared as one";
                return Err(failed("42601", message));
            }
        };
        self.extended.statements.insert(name, Arc::new(Stored { understood, given }));
        self.feed(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await
    }

    async fn bind(&mut self, bind: &Bind) -> PgWireResult<()> {
        self.extended.ensure_room()?;
        let stored = self.statement(bind.statement_name.as_deref())?;
        let values = parameters::values(bind, stored.wanted(), &stored.given)?;
        let format = match bind.result_column_format_codes.as_slice() {
            [] => Format::UnifiedText,
            [one] => Format::from(*one),
            several => Format::Individual(several.to_vec()),
        };
        // Wrong numbers of formats are told now, not when the first row comes.
        stored.fields(&format)?;
        let portal = Portal { stored, format, progress: Progress::Bound(values) };
        self.extended.portals.insert(bind.portal_name.clone().unwrap_or_default(), portal);
        self.feed(PgWireBackendMessage::BindComplete(BindComplete::new())).await
    }

    async fn describe(&mut self, describe: &Describe) -> PgWireResult<()> {
        let name = describe.name.as_deref();
        let fields = match describe.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                let stored = self.statement(name)?;
                let types = parameters::types(stored.wanted(), &stored.given);
                let types = types.iter().map(Type::oid).collect();
                let types = ParameterDescription::new(types);
                self.feed(PgWireBackendMessage::ParameterDescription(types)).await?;
                stored.fields(&Format::UnifiedText)?
            }
            TARGET_TYPE_BYTE_PORTAL => {
                let portal = self.extended.portals.get(name.unwrap_or_default());
                let portal = portal.ok_or_else(|| unknown_portal(name))?;
                portal.stored.fields(&portal.format)?
            }
            _ => return Err(failed(PROTOCOL_VIOLATION, "a statement or a portal is described")),
        };
        let message = match fields {
            None => PgWireBackendMessage::NoData(NoData::new()),
            Some(fields) => {
                let columns = fields.iter().map(FieldDescription::from).collect();
                PgWireBackendMessage::RowDescription(RowDescription::new(columns))
            }
        };
        self.feed(message).await
    }

    async fn execute(&mut self, execute: &Execute) -> PgWireResult<()> {
        let name = execute.name.clone().unwrap_or_default();
        let unknown = || unknown_portal(execute.name.as_deref());
        // It is put back when there is more to read; whatever fails is gone.
        let mut portal = self.extended.portals.remove(&name).ok_or_else(unknown)?;
        let Some(understood) = &portal.stored.understood else {
            self.extended.portals.insert(name, portal);
            return self
                .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                .await;
        };
        self.ensure_may_run(understood)?;
        let done = match std::mem::replace(&mut portal.progress, Progress::Ended) {
            Progress::Reading(rows) => Done::Rows(rows),
            Progress::Ended => Done::Changed(Tag::new("SELECT").with_rows(0)),
            Progress::Bound(values) => match understood {
                Understood::Command(command) => self.command(command).await?,
                Understood::Statement(statement) => {
                    self.run(statement, values, &portal.format).await?
                }
            },
        };
        match done {
            Done::Changed(tag) => self.complete(tag).await?,
            Done::Rows(rows) => {
                if let Some(rest) = self.send_some(rows, execute.max_rows).await? {
                    portal.progress = Progress::Reading(rest);
                }
            }
        }
        self.extended.portals.insert(name, portal);
        Ok(())
    }

    /// Sends so many rows, all when the number is not positive; answers what is left.
    async fn send_some(&mut self, mut rows: Rows, rows_max: i32) -> PgWireResult<Option<Rows>> {
        let rows_max = usize::try_from(rows_max).ok().filter(|rows| *rows > 0);
        let mut count = 0;
        while rows_max.is_none_or(|rows_max| count < rows_max) {
            match rows.rows.next().await {
                None => {
                    self.complete(Tag::new("SELECT").with_rows(count)).await?;
                    return Ok(None);
                }
                Some(row) => self.feed(PgWireBackendMessage::DataRow(row?)).await?,
            }
            count += 1;
        }
        self.feed(PgWireBackendMessage::PortalSuspended(PortalSuspended::new())).await?;
        Ok(Some(rows))
    }

    async fn close(&mut self, close: &Close) -> PgWireResult<()> {
        let name = close.name.clone().unwrap_or_default();
        match close.target_type {
            TARGET_TYPE_BYTE_STATEMENT => drop(self.extended.statements.remove(&name)),
            TARGET_TYPE_BYTE_PORTAL => drop(self.extended.portals.remove(&name)),
            _ => return Err(failed(PROTOCOL_VIOLATION, "a statement or a portal is closed")),
        }
        self.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await
    }

    fn statement(&self, name: Option<&str>) -> PgWireResult<Arc<Stored>> {
        let name = name.unwrap_or_default();
        let unknown = || {
            let message = format!("prepared statement '{name}' does not exist");
            failed(UNKNOWN_STATEMENT, message)
        };
        self.extended.statements.get(name).cloned().ok_or_else(unknown)
    }
}

fn unknown_portal(name: Option<&str>) -> PgWireError {
    failed(UNKNOWN_CURSOR, format!("portal '{}' does not exist", name.unwrap_or_default()))
}
