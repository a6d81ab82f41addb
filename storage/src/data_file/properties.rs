//! How the columns of a data file are encoded in Parquet. Readers take what they find; a file that
//! ingest wrote is encoded quickly, a compacted one stays and is made small.
//!
//! | columns | encoding | statistics |
//! |---|---|---|
//! | `ts` | delta, not compressed: decodes fastest, and two thirds of the bytes | pages |
//! | `identifier_id`, sorted by itself | delta, not compressed | pages |
//! | `identifier_id`, sorted by customer | plain, lz4: few numbers repeat | pages |
//! | `event` | dictionary | pages |
//! | `received_at`, `amount`, `quantity` | dictionary | row groups |
//! | `event_id` | delta of lengths, bloom filter | none |
//! | identifiers, fresh | dictionary: written fastest | none, as below |
//! | identifiers, compacted | delta of lengths: equal values are neighbours | none |
//! | `properties` | plain | none |
//! | members of `properties`, compacted | dictionary, plain where it would be large | none |
//! | everything else that people fill | dictionary | none: extremes are personal data |
//!
//! Where nothing else is said, columns are compressed by lz4, which costs half as much time to write
//! and to read as zstd. Numbers in a dictionary take few bits each, and nothing makes them much smaller;
//! a decoder of zstd costs more to make than a page of them to read. Compacted files use zstd where
//! [`worth_zstd`] says that it pays: for ids, identifiers, `properties`, and texts that hardly repeat.

use super::members::is_member_column;
use crate::event;
use crate::log::action::SortedBy;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use parquet::schema::types::ColumnPath;
use std::collections::HashSet;

/// Rows of a row group: enough that a bloom filter or a dictionary page is not asked too often,
/// few enough that the cores of a large machine each get some.
pub const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Rows of a page: the least that a selection of rows has to decode.
pub const PAGE_ROWS: usize = 8 * 1024;
/// Bytes of a page of a compacted file, before compression: of wide columns a page holds fewer rows,
/// so that reading one customer does not decompress the properties of thousands of others. It costs
/// 2 % of the bytes of `properties`.
const PAGE_BYTES_COMPACTED: usize = 128 * 1024;
/// How many event ids the filter of a fresh file takes for seen that are not; each costs a look at
/// the ids. Repeated events are mostly found here.
const FALSE_POSITIVES_FRESH: f64 = 0.001;
/// The same of a compacted file, where the filter would otherwise be a tenth of the bytes: one byte
/// per id instead of two. A large ingest looks at the ids of every row group in either case.
const FALSE_POSITIVES_COMPACTED: f64 = 0.05;
/// Texts of which more than one in so many is another one are compressed by zstd.
const VARIED_PART: usize = 2;
/// A member with more distinct text in a row group is written plain: its values hardly repeat, and a
/// dictionary of them is held until the row group ends.
const MEMBER_DICTIONARY_BYTES: usize = 128 * 1024;
/// Compresses JSON by a quarter more than level 1, and is decoded faster.
const PROPERTIES_LEVEL_COMPACTED: i32 = 6;

/// The columns of a compacted file that begins with these rows for which zstd pays: long texts that
/// do not repeat, or only as neighbours. A column without values would have a decoder for nothing.
pub(super) fn worth_zstd(first: &RecordBatch) -> HashSet<String> {
    let namespaces: HashSet<&str> = event::namespaces_of(first.schema_ref()).collect();
    let is_worth_it = |name: &str, values: &ArrayRef| match name {
        event::EVENT_ID | event::PROPERTIES => values.null_count() < values.len(),
        name if namespaces.contains(name) => values.null_count() < values.len(),
        _ => is_varied(values),
    };
    let columns = first.schema_ref().fields().iter().zip(first.columns());
    let worth = columns.filter(|(field, values)| is_worth_it(field.name(), values));
    worth.map(|(field, _)| field.name().clone()).collect()
}

/// Whether texts hardly repeat.
fn is_varied(values: &ArrayRef) -> bool {
    let valid = values.len() - values.null_count();
    let distinct = match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().flatten().collect::<HashSet<_>>().len(),
        DataType::Dictionary(..) => {
            let labels = values.as_dictionary::<Int32Type>();
            labels.keys().iter().flatten().collect::<HashSet<_>>().len()
        }
        _ => 0,
    };
    distinct * VARIED_PART > valid
}

/// The properties of a data file with these columns and at most so many rows. Once compacted, it has
/// zstd in the columns of `worth_zstd`.
pub(super) fn writer_properties(
    schema: &Schema,
    sorted_by: SortedBy,
    rows_max: usize,
    worth_zstd: &HashSet<String>,
) -> Result<WriterProperties> {
    // The filter of a row group is made this large, and made smaller in the end: for a small file
    // that would be most of the work.
    let ids_max = rows_max.clamp(1, ROW_GROUP_ROWS) as u64;
    let mut builder = WriterProperties::builder()
        .set_created_by("habitue".into())
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_sorting_columns(sorting_columns(schema, sorted_by))
        .set_key_value_metadata(key_values(schema));
    let (identifiers, false_positives) = match sorted_by {
        SortedBy::Identifier => {
            let delta = (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED);
            (delta, FALSE_POSITIVES_FRESH)
        }
        SortedBy::Customer { .. } => {
            ((Encoding::PLAIN, Compression::LZ4_RAW), FALSE_POSITIVES_COMPACTED)
        }
    };
    let times = (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED);
    builder = without_dictionary(builder, event::TS, times);
    builder = without_dictionary(builder, event::IDENTIFIER_ID, identifiers);
    let quick = Compression::LZ4_RAW;
    builder =
        without_dictionary(builder, event::EVENT_ID, (Encoding::DELTA_LENGTH_BYTE_ARRAY, quick));
    builder = without_dictionary(builder, event::PROPERTIES, (Encoding::PLAIN, quick));
    if sorted_by != SortedBy::Identifier {
        builder = builder.set_data_page_size_limit(PAGE_BYTES_COMPACTED);
        for namespace in event::namespaces_of(schema) {
            let ids = (Encoding::DELTA_LENGTH_BYTE_ARRAY, quick);
            builder = without_dictionary(builder, namespace, ids);
        }
        for name in worth_zstd {
            let is_json = name.as_str() == event::PROPERTIES;
            let level = if is_json { PROPERTIES_LEVEL_COMPACTED } else { 1 };
            let small = Compression::ZSTD(ZstdLevel::try_new(level)?);
            builder = builder.set_column_compression(name.as_str().into(), small);
        }
    }
    let members = schema.fields().iter().filter(|field| is_member_column(field.name()));
    for name in members.map(|field| field.name().as_str()) {
        builder =
            builder.set_column_dictionary_page_size_limit(name.into(), MEMBER_DICTIONARY_BYTES);
    }
    for name in [event::TS, event::IDENTIFIER_ID, event::EVENT] {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Page);
    }
    for name in [event::RECEIVED_AT, event::AMOUNT, event::QUANTITY] {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Chunk);
    }
    builder = builder
        .set_column_bloom_filter_enabled(event::EVENT_ID.into(), true)
        .set_column_bloom_filter_fpp(event::EVENT_ID.into(), false_positives)
        .set_column_bloom_filter_max_ndv(event::EVENT_ID.into(), ids_max);
    Ok(builder.build())
}

fn without_dictionary(
    builder: WriterPropertiesBuilder,
    name: &str,
    (encoding, compression): (Encoding, Compression),
) -> WriterPropertiesBuilder {
    let column = ColumnPath::from(name);
    builder
        .set_column_dictionary_enabled(column.clone(), false)
        .set_column_encoding(column.clone(), encoding)
        .set_column_compression(column, compression)
}

/// What the schema says of the file, for readers that do not know Arrow's schemas.
fn key_values(schema: &Schema) -> Option<Vec<KeyValue>> {
    let all = schema.metadata().iter();
    let all = all.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let all = all.collect::<Vec<_>>();
    (!all.is_empty()).then_some(all)
}

/// Customers stand in no column, so only the order by identifier can be said in Parquet's words.
fn sorting_columns(schema: &Schema, sorted_by: SortedBy) -> Option<Vec<SortingColumn>> {
    if sorted_by != SortedBy::Identifier {
        return None;
    }
    let column = |name: &str| {
        let place = schema.index_of(name).ok().and_then(|place| i32::try_from(place).ok())?;
        Some(SortingColumn { column_idx: place, descending: false, nulls_first: false })
    };
    Some(vec![column(event::IDENTIFIER_ID)?, column(event::TS)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringArray, new_null_array};
    use arrow::compute::cast;
    use parquet::file::properties::BloomFilterProperties;
    use std::sync::Arc;

    // If this fails, a database takes a quarter more of the disk, or labels are slow to read.
    #[test]
    fn only_columns_of_few_values_have_a_dictionary_once_compacted() {
        let labels = [
            "received_at",
            "event",
            "channel",
            "source",
            "campaign",
            "amount",
            "currency",
            "order_id",
            "product_id",
            "quantity",
        ];
        assert_eq!(with_dictionary(SortedBy::Customer { identity_version: 1 }), labels);
        // Ingest is held up by every column; it writes the identifiers the quick way.
        let mut fresh = with_dictionary(SortedBy::Identifier);
        fresh.retain(|name| !labels.contains(&name.as_str()));
        assert_eq!(fresh, ["user_id", "device_id"]);
    }

    fn with_dictionary(sorted_by: SortedBy) -> Vec<String> {
        let schema = event::file_schema(["user_id", "device_id"]);
        let properties = writer_properties(&schema, sorted_by, 1_000, &HashSet::new()).unwrap();
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| properties.dictionary_enabled(&name.as_str().into())).collect()
    }

    #[test]
    fn a_compacted_file_is_made_small() {
        let schema = event::file_schema(["user_id"]);
        let worth = HashSet::from([event::PROPERTIES.to_owned(), "user_id".to_owned()]);
        let of = |sorted_by| writer_properties(&schema, sorted_by, 1_000, &worth).unwrap();
        let by_customer = SortedBy::Customer { identity_version: 1 };
        let (fresh, compacted) = (of(SortedBy::Identifier), of(by_customer));
        for (name, level) in [(event::PROPERTIES, 6), ("user_id", 1)] {
            let small = Compression::ZSTD(ZstdLevel::try_new(level).unwrap());
            assert_eq!(compacted.compression(&name.into()), small);
            assert_eq!(fresh.compression(&name.into()), Compression::LZ4_RAW);
        }
        assert_eq!(compacted.compression(&event::EVENT.into()), Compression::LZ4_RAW);
        let filter = |properties: &WriterProperties| {
            let filter = properties.bloom_filter_properties(&event::EVENT_ID.into());
            filter.map(BloomFilterProperties::fpp)
        };
        assert!(filter(&compacted) > filter(&fresh));
    }

    // If this fails, reading one customer makes a decoder for each column that nobody fills, or long
    // texts take a third more of the disk.
    #[test]
    fn zstd_is_for_texts_that_are_there_and_vary() {
        let schema = event::file_schema(["user_id", "email"]);
        let rows = 100;
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let texts: StringArray = match field.name().as_str() {
                "event_id" | "order_id" => (0..rows).map(|row| Some(format!("o{row}"))).collect(),
                "user_id" => (0..rows).map(|row| Some(format!("u{}", row / 30))).collect(),
                "event" | "channel" => (0..rows).map(|row| Some(format!("e{}", row % 7))).collect(),
                _ => return new_null_array(field.data_type(), rows),
            };
            cast(&texts, field.data_type()).unwrap()
        });
        let nullable =
            schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let loose = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let first = RecordBatch::try_new(loose, columns.collect()).unwrap();
        let mut worth: Vec<String> = worth_zstd(&first).into_iter().collect();
        worth.sort();
        assert_eq!(worth, ["event_id", "order_id", "user_id"]);
    }
}
