//! `lookalike`: the profiles of all partitions, and the ranking of all.

use super::labels::LabelNames;
use super::rows::{CustomerBatches, Customers};
use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;
use habitue_udf::lookalike::{Lookalike, LookalikeRule, Profiles, lookalikes};
use std::collections::HashSet;
use std::sync::Arc;

/// `customer_id, score, features`: the features as a list of names with shares.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Int64, false),
        Field::new("score", DataType::Float64, false),
        Field::new("features", DataType::List(feature_field()), false),
    ]))
}

fn feature_fields() -> Fields {
    Fields::from(vec![
        Field::new("feature", DataType::Utf8, false),
        Field::new("share", DataType::Float64, false),
    ])
}

fn feature_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(feature_fields()), false))
}

/// Ranks the customers of all partitions by how much they are like the seeds.
pub(super) async fn ranking(
    rule: LookalikeRule,
    partitions: Vec<(CustomerBatches, MemoryReservation)>,
    mut seeds: SendableRecordBatchStream,
) -> Result<RecordBatch> {
    let mut seed_ids = HashSet::new();
    while let Some(batch) = seeds.try_next().await? {
        seed_ids.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    }
    let tasks = partitions.into_iter().map(|(input, reservation)| {
        SpawnedTask::spawn(async move { profiles(rule, input, reservation).await })
    });
    let (mut parts, mut held) = (Vec::new(), Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        let done = task.join().await;
        let (part, reservation) =
            done.map_err(|error| DataFusionError::External(error.into()))??;
        parts.push(part);
        held.push(reservation);
    }
    let found = lookalikes(parts, |customer| seed_ids.contains(&customer), &rule);
    batch_of(&found)
}

async fn profiles(
    rule: LookalikeRule,
    mut input: CustomerBatches,
    reservation: MemoryReservation,
) -> Result<(Profiles, MemoryReservation)> {
    let mut profiles = Profiles::new(&rule);
    let (mut customers, mut names) = (Customers::default(), LabelNames::default());
    while let Some(batch) = input.try_next().await? {
        let rows = customers.of(&batch)?;
        let features = names.of(rows.batch.column(1), profiles.names());
        for range in &rows.ranges {
            if let Some(customer) = range.customer.filter(|_| !range.continues) {
                profiles.begin_customer(customer);
            }
            profiles.observe_rows(&features[range.rows.clone()]);
        }
        reservation.try_resize(profiles.size())?;
    }
    Ok((profiles, reservation))
}

fn batch_of(found: &[Lookalike]) -> Result<RecordBatch> {
    let features = || found.iter().flat_map(|found| &found.features);
    let names = StringArray::from(features().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let shares = Float64Array::from_iter_values(features().map(|(_, share)| *share));
    let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(shares)];
    let features = StructArray::try_new(feature_fields(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(found.iter().map(|found| found.features.len()));
    let lists = ListArray::try_new(feature_field(), offsets, Arc::new(features), None)?;
    let customers = found.iter().map(|found| found.customer);
    let scores = found.iter().map(|found| found.score);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(customers)),
        Arc::new(Float64Array::from_iter_values(scores)),
        Arc::new(lists),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
