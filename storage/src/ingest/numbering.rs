//! Events get the numbers of their own identifiers.
//!
//! What is known is looked up for several batches at a time; new numbers and links come row by row,
//! in their order.

use crate::catalog::Catalog;
use crate::data_file::encode::column;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::{LookedUp, Stitcher};
use crate::side_by_side::side_by_side;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;

/// So many batches are looked up on one thread before they are numbered: enough that a thread is
/// worth its beginning, few enough that most values of them were numbered before.
const BATCHES_OF_THREAD: usize = 4;

/// Adds the column of identifiers to each batch, as the stitcher numbers them.
pub(super) fn with_identifiers(
    stitcher: &mut Stitcher,
    catalog: &Catalog,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    threads: usize,
) -> Result<Vec<RecordBatch>> {
    let mut numbered = Vec::with_capacity(batches.len());
    for round in batches.chunks(BATCHES_OF_THREAD * threads.max(1)) {
        for (batch, rows) in round.iter().zip(looked_up(stitcher, catalog, round)?) {
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns.push(Arc::new(stitcher.observe_known(rows)?));
            numbered.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| {
                Error::Arrow {
                    during: "putting identifiers to events".into(),
                    source: Arc::new(error),
                }
            })?);
        }
    }
    Ok(numbered)
}

/// Looks these batches up, a few on each thread.
fn looked_up<'a>(
    stitcher: &Stitcher,
    catalog: &Catalog,
    batches: &'a [RecordBatch],
) -> Result<Vec<LookedUp<'a>>> {
    let shares = batches.chunks(BATCHES_OF_THREAD);
    let rows = side_by_side("looking identifiers up", shares, |share| {
        let rows = share.iter().map(|batch| rows_of(stitcher, catalog, batch));
        rows.collect::<Result<Vec<_>>>()
    });
    Ok(rows?.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn rows_of<'a>(
    stitcher: &Stitcher,
    catalog: &Catalog,
    batch: &'a RecordBatch,
) -> Result<LookedUp<'a>> {
    let ids = column(batch, event::EVENT_ID)?.as_string::<i32>();
    let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
    let namespaces: Vec<(u16, &StringArray)> = (0_u16..)
        .zip(&catalog.namespaces)
        .map(|(number, namespace)| Ok((number, column(batch, &namespace.name)?.as_string::<i32>())))
        .collect::<Result<_>>()?;
    stitcher.look_up(&namespaces, ts, ids)
}
