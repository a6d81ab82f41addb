//! How the columns of a data file are encoded in Parquet.
//!
//! | columns | encoding | statistics |
//! |---|---|---|
//! | `ts`, `identifier_id` | delta, not compressed: decodes fastest, and a third of the bytes | pages |
//! | `event` | dictionary, zstd 1 | pages |
//! | `received_at`, `amount`, `quantity` | dictionary, zstd 1 | row groups |
//! | `event_id` | delta of lengths, zstd 1, bloom filter | none |
//! | everything else that people fill | dictionary, zstd 1 | none: extremes are personal data |

use crate::event;
use crate::log::action::SortedBy;
use arrow::datatypes::Schema;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use parquet::schema::types::ColumnPath;

/// Rows of a row group: enough that a bloom filter or a dictionary page is not asked too often,
/// few enough that the cores of a large machine each get some.
pub const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Rows of a page: the least that a selection of rows has to decode.
pub const PAGE_ROWS: usize = 8 * 1024;
/// How many event ids the filter takes for seen that are not; each costs a look at the ids.
const EVENT_ID_FALSE_POSITIVES: f64 = 0.001;

/// The properties of a data file with these columns and at most so many rows.
pub(super) fn writer_properties(
    schema: &Schema,
    sorted_by: SortedBy,
    rows_max: usize,
) -> Result<WriterProperties> {
    // The filter of a row group is made this large, and made smaller in the end: for a small file
    // that would be most of the work.
    let ids_max = rows_max.clamp(1, ROW_GROUP_ROWS) as u64;
    let mut builder = WriterProperties::builder()
        .set_created_by("habitue".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_sorting_columns(sorting_columns(schema, sorted_by));
    for name in [event::TS, event::IDENTIFIER_ID] {
        builder = delta(builder, name.into());
    }
    builder = builder
        .set_column_statistics_enabled(event::EVENT.into(), EnabledStatistics::Page)
        .set_column_dictionary_enabled(event::EVENT_ID.into(), false)
        .set_column_encoding(event::EVENT_ID.into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_bloom_filter_enabled(event::EVENT_ID.into(), true)
        .set_column_bloom_filter_fpp(event::EVENT_ID.into(), EVENT_ID_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(event::EVENT_ID.into(), ids_max);
    for name in [event::RECEIVED_AT, event::AMOUNT, event::QUANTITY] {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Chunk);
    }
    Ok(builder.build())
}

fn delta(builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(column.clone(), false)
        .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
        .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
        .set_column_statistics_enabled(column, EnabledStatistics::Page)
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
