//! The simple protocol: a text with any number of statements, answered as texts.

use crate::postgres::connection::{Connection, Done};
use crate::postgres::rows::Rows;
use crate::postgres::split::pieces;
use crate::postgres::statement::{Understood, understand};
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::Tag;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::{FieldDescription, RowDescription};
use datafusion_postgres::pgwire::messages::response::EmptyQueryResponse;
use futures::StreamExt;

/// Why a text was not answered to its end.
enum Stopped {
    /// A statement failed.
    Statement(PgWireError),
    /// The connection did.
    Connection(PgWireError),
}

impl Connection {
    /// Answers a text; the first statement that fails ends it.
    pub(super) async fn simple(&mut self, text: &str) -> PgWireResult<()> {
        let pieces = pieces(text);
        if pieces.is_empty() {
            self.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for piece in pieces {
            match self.simple_statement(piece.text, piece.before).await {
                Ok(()) => {}
                Err(Stopped::Connection(error)) => return Err(error),
                Err(Stopped::Statement(error)) => {
                    self.tell(error).await?;
                    break;
                }
            }
        }
        self.ready().await
    }

    async fn simple_statement(&mut self, text: &str, before: usize) -> Result<(), Stopped> {
        let understood = understand(&self.session, &self.dialect, text, before).await;
        let understood = understood.map_err(Stopped::Statement)?;
        self.ensure_may_run(&understood).map_err(Stopped::Statement)?;
        let done = match &understood {
            Understood::Command(command) => self.command(command).await,
            Understood::Statement(statement) => {
                self.run(statement, Vec::new(), &Format::UnifiedText).await
            }
        };
        match done.map_err(Stopped::Statement)? {
            Done::Changed(tag) => self.complete(tag).await.map_err(Stopped::Connection),
            Done::Rows(rows) => self.send_all(rows).await,
        }
    }

    async fn send_all(&mut self, mut rows: Rows) -> Result<(), Stopped> {
        let columns = rows.fields.iter().map(FieldDescription::from).collect();
        let columns = PgWireBackendMessage::RowDescription(RowDescription::new(columns));
        self.feed(columns).await.map_err(Stopped::Connection)?;
        let mut count = 0;
        while let Some(row) = rows.rows.next().await {
            let row = row.map_err(Stopped::Statement)?;
            self.feed(PgWireBackendMessage::DataRow(row)).await.map_err(Stopped::Connection)?;
            count += 1;
        }
        self.complete(Tag::new("SELECT").with_rows(count)).await.map_err(Stopped::Connection)
    }
}
