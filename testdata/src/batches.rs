//! The shop's events as Arrow record batches, in the shape in which events come in.

use crate::shop::event::ShopEvent;
use crate::shop::options::ShopOptions;
use crate::shop::simulation::Shop;
use arrow::array::{
    ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The understandable rows of a shop (duplicates included, broken rows left out) in the order of
/// arrival, so many per batch. `received_at` is a column too.
///
/// # Errors
/// An item is an error only if Arrow refuses a column, which would be a defect of the generator.
///
/// ```
/// use habitue_testdata::{ShopOptions, batches};
/// let options = ShopOptions { customers: 5, ..ShopOptions::default() };
/// let batch = batches(options, 10).next().unwrap().unwrap();
/// assert_eq!(batch.num_rows(), 10);
/// assert!(batch.column_by_name("anonymous_id").is_some());
/// ```
pub fn batches(
    options: ShopOptions,
    rows_per_batch: usize,
) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
    let mut events = Shop::new(options).filter_map(crate::Row::event);
    std::iter::from_fn(move || {
        let rows: Vec<_> = events.by_ref().take(rows_per_batch.max(1)).collect();
        (!rows.is_empty()).then(|| batch(&rows))
    })
}

/// These events as one batch.
///
/// # Errors
/// Arrow refuses a column: a defect of the generator.
pub fn batch(events: &[ShopEvent]) -> Result<RecordBatch, ArrowError> {
    let owned = |field: fn(&ShopEvent) -> &Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(|event| field(event).as_deref()).collect::<StringArray>())
    };
    let label = |field: fn(&ShopEvent) -> Option<&'static str>| -> ArrayRef {
        Arc::new(events.iter().map(field).collect::<StringArray>())
    };
    let moment = |field: fn(&ShopEvent) -> i64| -> ArrayRef {
        let times = TimestampMicrosecondArray::from_iter_values(events.iter().map(field));
        Arc::new(times.with_timezone("UTC"))
    };
    let ids = StringArray::from_iter_values(events.iter().map(|event| &event.event_id));
    let amounts = events.iter().map(|event| event.amount_cents.map(|c| i128::from(c) * 100));
    let pieces = events.iter().map(|event| event.quantity.map(|n| i128::from(n) * 10_000));
    RecordBatch::try_from_iter_with_nullable([
        ("event_id", Arc::new(ids) as ArrayRef, true),
        ("ts", moment(|event| event.ts_us), true),
        ("received_at", moment(|event| event.received_at_us), true),
        ("event", label(|event| Some(event.event)), true),
        ("channel", label(|event| Some(event.channel)), true),
        ("source", label(|event| event.source), true),
        ("campaign", label(|event| event.campaign), true),
        ("user_id", owned(|event| &event.user_id), true),
        ("email", owned(|event| &event.email), true),
        ("phone", owned(|event| &event.phone), true),
        ("anonymous_id", owned(|event| &event.anonymous_id), true),
        ("device_id", owned(|event| &event.device_id), true),
        ("amount", decimals(amounts)?, true),
        ("currency", label(|event| event.currency), true),
        ("order_id", owned(|event| &event.order_id), true),
        ("product_id", label(|event| event.product_id), true),
        ("quantity", decimals(pieces)?, true),
        ("properties", owned(|event| &event.properties), true),
    ])
}

fn decimals(values: impl Iterator<Item = Option<i128>>) -> Result<ArrayRef, ArrowError> {
    let array = Decimal128Array::from_iter(values);
    Ok(Arc::new(array.with_precision_and_scale(18, 4)?))
}
