//! How the columns of a data file are encoded in Parquet. Readers take what they find; a file that
//! ingest wrote is encoded quickly, a compacted one stays and is made small.
//!
//! | columns | encoding | statistics |
//! |---|---|---|
//! | `ts` | delta, not compressed: decodes fastest, and two thirds of the bytes | pages |
//! | `identifier_id`, sorted by itself | delta, not compressed | pages |
//! | `identifier_id`, sorted by customer | plain, zstd 1: few numbers repeat | pages |
//! | `event` | dictionary | pages |
//! | `received_at`, `amount`, `quantity` | dictionary | row groups |
//! | `event_id` | delta of lengths, bloom filter | none |
//! | identifiers, fresh | dictionary: written fastest | none, as below |
//! | identifiers, compacted | delta of lengths: equal values are neighbours | none |
//! | `properties` | plain; zstd 6 once compacted | none |
//! | members of `properties`, compacted | dictionary, plain where it would be large | none |
//! | everything else that people fill | dictionary | none: extremes are personal data |
//!
//! Where nothing else is said, fresh files are compressed by lz4, which costs half as much time to
//! write and to read as zstd, and compacted ones by zstd 1.

use super::members::is_member_column;
use crate::event;
use crate::log::action::SortedBy;
use arrow::datatypes::Schema;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use parquet::schema::types::ColumnPath;

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
/// A member with more distinct text in a row group is written plain: its values hardly repeat, and a
/// dictionary of them is held until the row group ends.
const MEMBER_DICTIONARY_BYTES: usize = 128 * 1024;
/// Compresses JSON by a quarter more than level 1, and is decoded faster.
const PROPERTIES_LEVEL_COMPACTED: i32 = 6;

/// The properties of a data file with these columns and at most so many rows.
pub(super) fn writer_properties(
    schema: &Schema,
    sorted_by: SortedBy,
    rows_max: usize,
) -> Result<WriterProperties> {
    // The filter of a row group is made this large, and made smaller in the end: for a small file
    // that would be most of the work.
    let ids_max = rows_max.clamp(1, ROW_GROUP_ROWS) as u64;
    let quick = match sorted_by {
        SortedBy::Identifier => Compression::LZ4_RAW,
        SortedBy::Customer { .. } => Compression::ZSTD(ZstdLevel::try_new(1)?),
    };
    let mut builder = WriterProperties::builder()
        .set_created_by("habitue".into())
        .set_compression(quick)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_sorting_columns(sorting_columns(schema, sorted_by))
        .set_key_value_metadata(key_values(schema));
    let (identifiers, properties, false_positives) = match sorted_by {
        SortedBy::Identifier => {
            let delta = (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED);
            (delta, quick, FALSE_POSITIVES_FRESH)
        }
        SortedBy::Customer { .. } => {
            let small = Compression::ZSTD(ZstdLevel::try_new(PROPERTIES_LEVEL_COMPACTED)?);
            ((Encoding::PLAIN, quick), small, FALSE_POSITIVES_COMPACTED)
        }
    };
    let times = (Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED);
    builder = without_dictionary(builder, event::TS, times);
    builder = without_dictionary(builder, event::IDENTIFIER_ID, identifiers);
    let ids = (Encoding::DELTA_LENGTH_BYTE_ARRAY, quick);
    builder = without_dictionary(builder, event::EVENT_ID, ids);
    builder = without_dictionary(builder, event::PROPERTIES, (Encoding::PLAIN, properties));
    if sorted_by != SortedBy::Identifier {
        builder = builder.set_data_page_size_limit(PAGE_BYTES_COMPACTED);
        for namespace in event::namespaces_of(schema) {
            builder = without_dictionary(builder, namespace, ids);
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
    use parquet::file::properties::BloomFilterProperties;

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
        let properties = writer_properties(&schema, sorted_by, 1_000).unwrap();
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| properties.dictionary_enabled(&name.as_str().into())).collect()
    }

    #[test]
    fn a_compacted_file_is_made_small() {
        let schema = event::file_schema(["user_id"]);
        let fresh = writer_properties(&schema, SortedBy::Identifier, 1_000).unwrap();
        let by_customer = SortedBy::Customer { identity_version: 1 };
        let compacted = writer_properties(&schema, by_customer, 1_000).unwrap();
        let level = |properties: &WriterProperties| match properties
            .compression(&event::PROPERTIES.into())
        {
            Compression::ZSTD(level) => level.compression_level(),
            _ => 0,
        };
        assert!(level(&compacted) > level(&fresh));
        let filter = |properties: &WriterProperties| {
            let filter = properties.bloom_filter_properties(&event::EVENT_ID.into());
            filter.map(BloomFilterProperties::fpp)
        };
        assert!(filter(&compacted) > filter(&fresh));
    }
}
