//! One connection, from its first byte to its last.

use crate::error::Error;
use crate::postgres::cancel::CancelTicket;
use crate::postgres::command::Command;
use crate::postgres::dialect::Dialect;
use crate::postgres::extended::Extended;
use crate::postgres::failure::{
    FEATURE_NOT_SUPPORTED, IN_FAILED_TRANSACTION, SHUTTING_DOWN, failed, fatal, of_statement,
};
use crate::postgres::interruption::{Hangup, Interruption};
use crate::postgres::rows::{self, Rows, Running};
use crate::postgres::server::{Room, Server};
use crate::postgres::settings::ClientSettings;
use crate::postgres::startup::{self, Guest};
use crate::postgres::statement::{Statement, Understood};
use crate::session::Session;
use crate::statements::Effect;
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::Tag;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::response::{
    CommandComplete, NoticeResponse, ReadyForQuery, TransactionStatus,
};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{
    MaybeTls, PgWireMessageServerCodec, negotiate_tls,
};
use futures::{SinkExt, StreamExt};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::codec::Framed;

/// The stream of messages.
pub(super) type Socket = Framed<MaybeTls, PgWireMessageServerCodec<()>>;

/// How long a client may take to say who it is.
const GREETING_MAX: Duration = Duration::from_secs(60);
/// Bytes of rows that are gathered before they are sent.
const GATHERED_BYTES: usize = 64 << 10;

/// A connection of somebody who was let in.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) socket: Socket,
    pub(super) session: Arc<Session>,
    pub(super) dialect: Dialect,
    pub(super) extended: Extended,
    settings: ClientSettings,
    ticket: CancelTicket,
    hangup: Hangup,
    transaction: TransactionStatus,
    /// The client was told that the next statement may come, and has sent nothing since.
    is_ready: bool,
    /// Something was changed since `BEGIN`.
    changed: bool,
}

/// What a statement or a command did.
pub(super) enum Done {
    /// It answers rows.
    Rows(Rows),
    /// It did something, and says so.
    Changed(Tag),
}

/// Serves one socket to its end.
pub(super) async fn run(server: Arc<Server>, stream: TcpStream, room: Room) -> io::Result<()> {
    let peer = stream.peer_addr()?.ip();
    let (stream, hangup) = Hangup::watch(stream)?;
    let greeting = async {
        let Some(mut socket) = negotiate_tls(stream, server.tls.clone()).await? else {
            return Ok(None);
        };
        match startup::greet(&server, &mut socket, peer, room).await {
            Ok(guest) => Ok::<_, io::Error>(guest.map(|guest| (socket, guest))),
            Err(error) => {
                socket.send(error_message(error)).await?;
                socket.close().await?;
                Ok(None)
            }
        }
    };
    let greeted = timeout(GREETING_MAX, greeting).await;
    let Some((mut socket, guest)) = greeted.unwrap_or(Ok(None))? else { return Ok(()) };
    socket.set_backpressure_boundary(GATHERED_BYTES);
    let mut connection = match Connection::new(server, socket, guest, hangup) {
        Ok(connection) => connection,
        Err(_) => return Ok(()),
    };
    connection.serve().await
}

/// An error as the message that tells it.
fn error_message(error: PgWireError) -> PgWireBackendMessage {
    PgWireBackendMessage::ErrorResponse(ErrorInfo::from(error).into())
}

impl Connection {
    fn new(
        server: Arc<Server>,
        socket: Socket,
        guest: Guest,
        hangup: Hangup,
    ) -> Result<Self, Error> {
        let Guest { principal, settings, ticket } = guest;
        let options = server.limits.session_options(&principal);
        let session = Arc::new(server.database.session_with(options));
        server.catalog.add_to(&session, &principal.name, &settings)?;
        Ok(Self {
            server,
            socket,
            session,
            dialect: Dialect::new(),
            extended: Extended::default(),
            settings,
            ticket,
            hangup,
            transaction: TransactionStatus::Idle,
            is_ready: true,
            changed: false,
        })
    }

    /// Answers messages until the client leaves, is idle for too long, or the server ends.
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let idle = self.server.limits.session_idle_max;
            let asked = self.server.shutdown.clone().asked();
            let message = tokio::select! {
                // A statement that has come is looked at before a wish: it is what is to end.
                biased;
                message = timeout(idle, self.socket.next()) => message,
                // Between statements there is nothing to end.
                () = self.ticket.forget_what_comes(), if self.is_ready => return Ok(()),
                () = asked => {
                    let error = fatal(SHUTTING_DOWN, "the server is shutting down");
                    return self.end(error).await;
                }
            };
            let message = match message {
                Ok(None) | Ok(Some(Ok(PgWireFrontendMessage::Terminate(_)))) => return Ok(()),
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return self.end(error).await,
                Err(_) => {
                    let message = format!("the connection was idle for more than {idle:?}");
                    return self.end(fatal("57P05", message)).await;
                }
            };
            self.is_ready = false;
            match self.answer(message).await {
                Ok(()) => {}
                Err(PgWireError::IoError(error)) => return Err(error),
                Err(error) => return self.end(error).await,
            }
        }
    }

    /// Tells why, and closes.
    async fn end(&mut self, error: PgWireError) -> io::Result<()> {
        let mut info = ErrorInfo::from(error);
        info.severity = "FATAL".into();
        info.severity_nonlocalized = Some("FATAL".into());
        self.socket.send(PgWireBackendMessage::ErrorResponse(info.into())).await?;
        self.socket.close().await
    }

    /// Answers one message. An error here ends the connection; errors of statements are told.
    async fn answer(&mut self, message: PgWireFrontendMessage) -> PgWireResult<()> {
        match message {
            PgWireFrontendMessage::Query(query) => self.simple(&query.query).await,
            PgWireFrontendMessage::Flush(_) => self.flush().await,
            PgWireFrontendMessage::Sync(_) => self.sync().await,
            // What COPY was refused for.
            PgWireFrontendMessage::CopyData(_)
            | PgWireFrontendMessage::CopyDone(_)
            | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            other if other.is_extended_query() => self.extended(other).await,
            _ => Err(fatal(super::failure::PROTOCOL_VIOLATION, "this message has no place here")),
        }
    }

    /// Tells the error of a statement; the connection lives.
    pub(super) async fn tell(&mut self, error: PgWireError) -> PgWireResult<()> {
        if let PgWireError::IoError(error) = error {
            return Err(PgWireError::IoError(error));
        }
        self.transaction = self.transaction.to_error_state();
        self.feed(error_message(error)).await
    }

    /// Tells something that is no error.
    pub(super) async fn notice(&mut self, severity: &str, message: &str) -> PgWireResult<()> {
        let mut info = ErrorInfo::new(severity.into(), "00000".into(), message.into());
        info.severity_nonlocalized = Some(severity.into());
        let notice = NoticeResponse::from(info);
        self.feed(PgWireBackendMessage::NoticeResponse(notice)).await
    }

    /// A client that reads nothing any more must not hold a slot for ever.
    pub(super) async fn feed(&mut self, message: PgWireBackendMessage) -> PgWireResult<()> {
        let patience = self.server.limits.session_idle_max;
        let fed = timeout(patience, self.socket.feed(message)).await;
        Ok(fed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    pub(super) async fn flush(&mut self) -> PgWireResult<()> {
        let patience = self.server.limits.session_idle_max;
        let flushed = timeout(patience, self.socket.flush()).await;
        Ok(flushed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    /// Says that the next statement may come.
    pub(super) async fn ready(&mut self) -> PgWireResult<()> {
        self.ticket.forget();
        self.is_ready = true;
        let ready = ReadyForQuery::new(self.transaction);
        self.feed(PgWireBackendMessage::ReadyForQuery(ready)).await?;
        self.flush().await
    }

    pub(super) async fn complete(&mut self, tag: Tag) -> PgWireResult<()> {
        self.feed(PgWireBackendMessage::CommandComplete(CommandComplete::from(tag))).await
    }

    /// Whether portals live on after a `Sync`.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.transaction != TransactionStatus::Idle
    }

    /// After an error in a transaction nothing runs until it ends, as clients expect.
    pub(super) fn ensure_may_run(&self, understood: &Understood) -> PgWireResult<()> {
        let ends = matches!(
            understood,
            Understood::Command(Command::Commit | Command::Rollback | Command::RollbackTo)
        );
        match self.transaction {
            TransactionStatus::Error if !ends => Err(failed(
                IN_FAILED_TRANSACTION,
                "an earlier statement of this transaction failed; end it with ROLLBACK",
            )),
            _ => Ok(()),
        }
    }

    /// Runs a statement of the session.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        values: Vec<ScalarValue>,
        format: &Format,
    ) -> PgWireResult<Done> {
        let mut running = self.running();
        let work = async {
            let answer = statement.prepared.run(values).await;
            answer.map_err(|error| statement.error(&error))
        };
        let answer = running.hold(work).await?;
        if statement.has_columns() {
            return Ok(Done::Rows(rows::of_answer(answer.stream, format, running)?));
        }
        if !matches!(statement.prepared.effect(), Effect::Read | Effect::Session) {
            self.changed = true;
        }
        let rows_added = answer.rows_added;
        let collected = async { answer.collect().await.map_err(|error| statement.error(&error)) };
        for batch in running.hold(collected).await? {
            for row in 0..batch.num_rows() {
                let message = array_value_to_string(batch.column(0), row).unwrap_or_default();
                self.notice("NOTICE", &message).await?;
            }
        }
        let tag = Tag::new(&statement.tag());
        Ok(Done::Changed(match rows_added.map(usize::try_from) {
            Some(Ok(rows)) => tag.with_oid(0).with_rows(rows),
            _ => tag,
        }))
    }

    /// By what a statement that begins may be interrupted.
    fn running(&self) -> Running {
        let own = self.settings.statement_timeout();
        let limit = own.into_iter().chain(self.server.limits.statement_time_max).min();
        let deadline = limit.map(|limit| (Instant::now() + limit, limit));
        Running {
            interruption: Interruption::new(self.ticket.wishes(), self.hangup.clone()),
            deadline,
        }
    }

    /// Does what a command says.
    pub(super) async fn command(&mut self, command: &Command) -> PgWireResult<Done> {
        let tag = match command {
            Command::Begin => {
                if self.is_in_transaction() {
                    self.notice("WARNING", "there is a transaction already").await?;
                } else {
                    self.changed = false;
                }
                self.transaction = TransactionStatus::Transaction;
                "BEGIN"
            }
            Command::Commit if self.transaction == TransactionStatus::Error => {
                return self.roll_back().await;
            }
            Command::Commit => {
                self.end_transaction().await?;
                "COMMIT"
            }
            Command::Rollback => return self.roll_back().await,
            Command::Savepoint => "SAVEPOINT",
            Command::Release => "RELEASE",
            Command::RollbackTo => {
                self.transaction = TransactionStatus::Transaction;
                self.warn_of_changes().await?;
                "ROLLBACK"
            }
            Command::Set { name, value } => {
                self.set(name, value).await?;
                "SET"
            }
            Command::Reset(Some(name)) => {
                self.settings.reset(name);
                "RESET"
            }
            Command::Reset(None) => {
                self.settings.reset_all();
                "RESET"
            }
            Command::Show(name) => return self.show(name.as_deref()),
            Command::Discard => {
                self.extended = Extended::default();
                self.settings.reset_all();
                "DISCARD ALL"
            }
            Command::Deallocate(name) => {
                self.extended.deallocate(name.as_deref());
                "DEALLOCATE"
            }
            Command::Unsupported(what) => {
                return Err(failed(FEATURE_NOT_SUPPORTED, format!("{what} is not supported here")));
            }
        };
        Ok(Done::Changed(Tag::new(tag)))
    }

    async fn end_transaction(&mut self) -> PgWireResult<()> {
        if !self.is_in_transaction() {
            self.notice("WARNING", "there is no transaction").await?;
        }
        self.transaction = TransactionStatus::Idle;
        self.extended.close_portals();
        Ok(())
    }

    async fn roll_back(&mut self) -> PgWireResult<Done> {
        self.end_transaction().await?;
        self.warn_of_changes().await?;
        Ok(Done::Changed(Tag::new("ROLLBACK")))
    }

    /// Says what a rollback is not.
    async fn warn_of_changes(&mut self) -> PgWireResult<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let message = "nothing was taken back: each statement stands for itself, and what it \
                       changed stays";
        self.notice("WARNING", message).await
    }

    async fn set(&mut self, name: &str, value: &str) -> PgWireResult<()> {
        match (name.to_lowercase().as_str(), value.to_lowercase().as_str()) {
            ("transaction_isolation", "") => return Ok(()),
            (_, "default") => {
                self.settings.reset(name);
                return Ok(());
            }
            _ => {}
        }
        self.settings.set(name, value)?;
        if name.eq_ignore_ascii_case("search_path") {
            self.search_in(value).await?;
        }
        Ok(())
    }

    /// Unqualified names are looked for in the first schema of the path that is not Postgres's.
    async fn search_in(&mut self, path: &str) -> PgWireResult<()> {
        let schemas = path.split(',').map(|name| name.trim().trim_matches(['"', '\'']));
        let own = schemas.into_iter().find(|name| {
            !name.is_empty()
                && !["pg_catalog", "public", "$user", "information_schema"].contains(name)
        });
        let schema = own.unwrap_or(crate::session::MAIN).replace('\'', "''");
        let statement = format!("SET datafusion.catalog.default_schema = '{schema}'");
        match self.session.run(&statement).await {
            Ok(_) => Ok(()),
            Err(error) => Err(of_statement(&error, "", 0)),
        }
    }

    fn show(&self, name: Option<&str>) -> PgWireResult<Done> {
        let rows = match name {
            Some(name) => {
                let value = self.settings.get(name).unwrap_or_default().to_owned();
                rows::of_text(&name.to_lowercase(), vec![Some(value)])?
            }
            None => {
                let all = self.settings.all().into_iter();
                let lines = all.map(|(name, value)| Some(format!("{name} = {value}")));
                rows::of_text("setting", lines.collect())?
            }
        };
        Ok(Done::Rows(rows))
    }
}
