//! Drives an ingest: blocks in, appended in order, one commit out.

use super::input_table::{InputEnds, input_table};
use super::progress::{IngestProgress, OnProgress};
use super::request::IngestRequest;
use crate::error::{Error, Result};
use crate::formats::{self, Opened, Opening, Shape};
use crate::resources::Resources;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::Utc;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use habitue_sql::{Answer, Database, DatabaseOptions, LocalFiles};
use habitue_storage::event;
use habitue_storage::ingest::{Ingest, IngestOptions, IngestSummary};
use habitue_storage::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ingests one input into the store.
pub(crate) async fn run(
    store: &Store,
    resources: &Resources,
    request: IngestRequest,
) -> Result<IngestSummary> {
    let name = request.source.clone().unwrap_or_else(|| request.input.name());
    let shape = match request.select {
        Some(_) => Shape::Table,
        None => Shape::Events { namespaces: namespaces(store).await? },
    };
    let opening = Opening {
        format: request.format,
        shape,
        threads: resources.threads,
        spill_dir: resources.spill_dir.clone(),
    };
    let opened = formats::open(request.input, opening).await?;
    let ingest = store
        .begin_ingest(IngestOptions {
            memory_bytes_max: resources.memory_bytes_max / 2,
            threads: resources.threads,
            max_rejects: request.max_rejects,
            on_duplicate_row: request.on_duplicate_row,
            ..IngestOptions::new(name.as_str(), request.received_at.unwrap_or_else(Utc::now))
        })
        .await?;
    let mut feeding = Feeding {
        ingest,
        bytes_read: Arc::clone(&opened.bytes_read),
        bytes_total: opened.bytes_total,
        on_progress: request.on_progress,
    };
    match request.select {
        None => {
            ensure_event_columns(&name, &opened.schema, "map them with --select")?;
            feeding.feed(opened).await?;
        }
        Some(sql) => {
            feeding.feed_selected(store, resources, opened, &sql).await?;
        }
    }
    Ok(feeding.ingest.commit().await?)
}

async fn namespaces(store: &Store) -> Result<Vec<String>> {
    let snapshot = store.snapshot().await?;
    let catalog = store.catalog(&snapshot).await?;
    Ok(catalog.namespaces.iter().map(|namespace| namespace.name.clone()).collect())
}

/// Without these two columns every single row would be rejected.
fn ensure_event_columns(name: &str, schema: &SchemaRef, advice: &str) -> Result<()> {
    for wanted in [event::TS, event::EVENT] {
        if schema.fields().is_empty() || schema.field_with_name(wanted).is_ok() {
            continue;
        }
        let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::unreadable(
            name,
            format!("no column {wanted} among {}; {advice}", columns.join(", ")),
        ));
    }
    Ok(())
}

/// An ingest that is being fed.
struct Feeding {
    ingest: Ingest,
    bytes_read: Arc<AtomicU64>,
    bytes_total: Option<u64>,
    on_progress: Option<OnProgress>,
}

impl Feeding {
    async fn feed(&mut self, mut opened: Opened) -> Result<()> {
        while let Some(block) = opened.blocks.next().await {
            let block = block?;
            for (batch, first_row) in block.slices() {
                self.ingest.append(&batch, first_row).await?;
            }
            for reject in block.rejects {
                self.ingest.reject(reject).await?;
            }
            self.tell();
        }
        Ok(())
    }

    async fn feed_selected(
        &mut self,
        store: &Store,
        resources: &Resources,
        opened: Opened,
        sql: &str,
    ) -> Result<()> {
        let (table, mut ends) = input_table(opened.schema, opened.blocks).map_err(select_error)?;
        let answer = select(store, resources, table, sql).await?;
        let advice = "name it with AS in the SELECT";
        ensure_event_columns("the SELECT's answer", &answer.schema, advice)?;
        let mut rows = answer.stream;
        let mut next_row = 1;
        loop {
            // Rejects are taken while rows are waited for: neither side may block the other.
            tokio::select! {
                batch = rows.next() => match batch {
                    Some(Ok(batch)) => self.append_selected(&batch, &mut next_row).await?,
                    Some(Err(error)) => {
                        return Err(ends.take_failure().unwrap_or_else(|| select_error(error)));
                    }
                    None => break,
                },
                Some(rejects) = ends.rejects.recv() => {
                    for reject in rejects {
                        self.ingest.reject(reject).await?;
                    }
                }
            }
        }
        drop(rows);
        self.last_rejects(ends).await
    }

    async fn append_selected(&mut self, batch: &RecordBatch, next_row: &mut u64) -> Result<()> {
        self.ingest.append(batch, *next_row).await?;
        *next_row += batch.num_rows() as u64;
        self.tell();
        Ok(())
    }

    async fn last_rejects(&mut self, mut ends: InputEnds) -> Result<()> {
        while let Ok(rejects) = ends.rejects.try_recv() {
            for reject in rejects {
                self.ingest.reject(reject).await?;
            }
        }
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        let Some(call) = &mut self.on_progress else {
            return;
        };
        let progress = self.ingest.progress();
        call(IngestProgress {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_total: self.bytes_total,
            rows_read: progress.rows_read,
            events_accepted: progress.events_accepted,
            duplicates: progress.duplicates,
            rejected: progress.rejected,
        });
    }
}

/// Starts the SELECT over the table `input`, in one partition: occurrence numbers of equal rows
/// follow the order of the rows, so the order must be that of the input.
async fn select(
    store: &Store,
    resources: &Resources,
    table: datafusion::catalog::streaming::StreamingTable,
    sql: &str,
) -> Result<Answer> {
    ensure_query(sql)?;
    let options = DatabaseOptions {
        memory_bytes_max: usize::try_from(resources.memory_bytes_max / 4).unwrap_or(usize::MAX),
        cache_bytes_max: None,
        threads: 1,
        spill_dir: Some(resources.spill_dir.clone()),
        local_files: LocalFiles::Allowed,
    };
    let session = Database::new(store.clone(), options)?.session();
    // Events are texts as Arrow has always had them; views would be copied once more.
    let state = session.context().state_ref();
    state.write().config_mut().options_mut().sql_parser.map_string_types_to_utf8view = false;
    session.context().register_table("input", Arc::new(table)).map_err(select_error)?;
    Ok(session.run(sql).await?)
}

/// An ingest reads; a statement that changes something is a slip.
fn ensure_query(sql: &str) -> Result<()> {
    let mut rest = sql.trim_start();
    while let Some(comment) = rest.strip_prefix("--") {
        rest = comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    if ["SELECT", "WITH"].iter().any(|wanted| word.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: "the SELECT of the ingest",
        reason: format!("it begins with '{word}', wanted SELECT … FROM input"),
    })
}

fn select_error(error: DataFusionError) -> Error {
    Error::Sql(error.into())
}
