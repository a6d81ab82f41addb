//! One ingest, from its first row to its commit.
//!
//! 1. Rows come in and are brought to events or rejected, several batches at a time.
//! 2. They wait in a piece, in their order. A piece that is large enough gets event ids; rows that
//!    are known already leave it; the stitcher gives each row its identifier and collects links.
//! 3. Several pieces make a chunk. It is sorted and written as one data file per time partition, column by column.
//! 4. At the end, one commit names all files and what is new of identities. If another writer was
//!    faster, see [`rebase`](super::rebase).
//!
//! The steps go on at the same time, each on other rows.

use super::arrivals::{Arrivals, Arrived};
use super::conform::{Conformed, Conformer};
use super::intake::Intake;
use super::rebase::Committing;
use super::{IngestOptions, IngestProgress, IngestSummary, RejectedRow};
use crate::background::Background;
use crate::error::{Error, Result};
use crate::rejected::RejectedRows;
use crate::store::Store;
use arrow::array::{Array, RecordBatch};

/// The memory of an ingest is shared by a piece that fills, one that is stitched, the chunk that these
/// make, one that is written, the arrays that sorting and encoding make of it, batches on their way, and what the
/// allocator keeps for the threads that all this goes on in.
const CHUNKS_IN_MEMORY: u64 = 8;
/// No piece has more rows: few enough that a small input is stitched while it is read, enough that
/// rows that were sent before are not looked for too often in the same files.
const PIECE_ROWS_MAX: usize = 1 << 17;
/// The bytes of a chunk are at least those of so many pieces.
const PIECES_IN_CHUNK: usize = 4;
/// What a row costs while it is ingested, besides its values: keys to sort, table of ids.
const ROW_BYTES_EXTRA: usize = 64;

/// Events on their way in; nothing of them can be seen before [`Ingest::commit`] returns. Dropped
/// before, it leaves only files that nobody names, for garbage collection.
pub struct Ingest {
    store: Store,
    options: IngestOptions,
    piece_bytes_max: usize,
    arrivals: Arrivals,
    piece: Piece,
    intake: Stage,
    rejects: RejectedRows,
    progress: IngestProgress,
}

/// Events that wait for more.
#[derive(Default)]
struct Piece {
    batches: Vec<RecordBatch>,
    bytes: usize,
    rows: usize,
}

/// Where the intake is.
enum Stage {
    Waiting(Box<Intake>),
    Working(Background<Box<Intake>>),
    /// It failed, and the caller knows why.
    Failed,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ingest")
            .field("options", &self.options)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Begins to take events in.
    ///
    /// # Errors
    /// What reading the newest snapshot and its identities says.
    pub async fn begin_ingest(&self, options: IngestOptions) -> Result<Ingest> {
        let share = options.memory_bytes_max / CHUNKS_IN_MEMORY;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let intake = Intake::begin(self, &options, share).await?;
        let conformer = Conformer::new(&intake.catalog, options.received_at);
        let rejects = RejectedRows::new(&options);
        Ok(Ingest {
            store: self.clone(),
            piece_bytes_max: share / PIECES_IN_CHUNK,
            arrivals: Arrivals::new(conformer, options.threads, share / 2),
            options,
            piece: Piece::default(),
            intake: Stage::Waiting(Box::new(intake)),
            rejects,
            progress: IngestProgress::default(),
        })
    }
}

impl Ingest {
    /// Takes in a batch: any subset of the columns of an event by name, of any type that can be
    /// brought to theirs; other columns become members of `properties`. Its first row has the
    /// number `first_row` in the source. Rows that cannot be understood are rejected alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the columns as such are wrong; and for what came before, which is
    /// worked on in the background, [`Error::TooManyRejects`] and what the store says.
    pub async fn append(&mut self, batch: &RecordBatch, first_row: u64) -> Result<()> {
        let bytes = memory_of(batch);
        while self.arrivals.is_full(bytes) {
            self.take_arrived().await?;
        }
        self.arrivals.batch(batch, bytes, first_row)
    }

    /// Takes in a row that the caller could not even bring into a batch.
    ///
    /// # Errors
    /// [`Error::TooManyRejects`], and what the store says.
    pub async fn reject(&mut self, row: RejectedRow) -> Result<()> {
        self.arrivals.rejected(row);
        while self.arrivals.is_full_of_rejected() {
            self.take_arrived().await?;
        }
        Ok(())
    }

    /// How far it is.
    pub fn progress(&self) -> IngestProgress {
        self.progress
    }

    /// Makes all of it one version, durable when this returns.
    ///
    /// # Errors
    /// What the commit says; then nothing of it can be seen, unless the outcome is unknown.
    pub async fn commit(mut self) -> Result<IngestSummary> {
        while self.take_arrived().await? {}
        self.close_piece().await?;
        let mut intake = self.intake().await?;
        intake.write_rest().await?;
        let source = self.options.source;
        let committing = Committing { intake, source, rejects: self.rejects };
        committing.commit(self.progress.rejected).await
    }

    /// Takes the next of what came in, if there is any.
    async fn take_arrived(&mut self) -> Result<bool> {
        match self.arrivals.next().await? {
            None => return Ok(false),
            Some(Arrived::Batch(conformed)) => self.fill_piece(conformed).await?,
            Some(Arrived::Rejected(row)) => self.keep_rejected(row).await?,
        }
        Ok(true)
    }

    async fn fill_piece(&mut self, conformed: Conformed) -> Result<()> {
        let events = conformed.events;
        self.progress.rows_read += events.num_rows() as u64;
        for row in conformed.rejected {
            self.keep_rejected(row).await?;
        }
        if events.num_rows() == 0 {
            return Ok(());
        }
        self.piece.bytes += memory_of(&events);
        self.piece.rows += events.num_rows();
        self.piece.batches.push(events);
        if self.piece.bytes >= self.piece_bytes_max || self.piece.rows >= PIECE_ROWS_MAX {
            self.close_piece().await?;
        }
        Ok(())
    }

    async fn keep_rejected(&mut self, row: RejectedRow) -> Result<()> {
        self.progress.rows_read += 1;
        self.progress.rejected += 1;
        let rejected = self.progress.rejected;
        if let Some(limit) = self.options.max_rejects
            && rejected > limit
        {
            let first_reason = self.rejects.first_reason().unwrap_or(&row.reason).to_owned();
            return Err(Error::TooManyRejects { rejected, limit, first_reason });
        }
        self.rejects.push(&self.store, row).await
    }

    /// Hands the piece on, once the intake is done with the one before.
    async fn close_piece(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.batches.is_empty() {
            return Ok(());
        }
        let mut intake = self.intake().await?;
        let work = async move {
            intake.take(piece.batches, piece.bytes).await?;
            Ok(intake)
        };
        self.intake = Stage::Working(Background::begin("stitching events", work));
        Ok(())
    }

    /// Takes the intake away, once it has done its work.
    async fn intake(&mut self) -> Result<Box<Intake>> {
        let intake = match std::mem::replace(&mut self.intake, Stage::Failed) {
            Stage::Waiting(intake) => intake,
            Stage::Working(work) => work.answer().await?,
            Stage::Failed => {
                return Err(Error::Internal("an ingest goes on that has failed".into()));
            }
        };
        self.progress.events_accepted = intake.accepted;
        self.progress.duplicates = intake.duplicates;
        self.progress.bytes_written = intake.bytes_written();
        Ok(intake)
    }
}

fn memory_of(batch: &RecordBatch) -> usize {
    // What slices share with the batch that they were cut from does not count twice.
    let values = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    values.sum::<usize>() + batch.num_rows() * ROW_BYTES_EXTRA
}
