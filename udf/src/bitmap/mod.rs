//! Sets of customers as bitmaps: made by aggregates, combined and asked by scalar functions.
//!
//! ```sql
//! SELECT bitmap_to_array(bitmap_and(
//!            bitmap_agg(customer) FILTER (WHERE event = 'view'),
//!            bitmap_agg(customer) FILTER (WHERE event = 'buy'))) AS viewed_and_bought
//! FROM (VALUES (1, 'view'), (2, 'view'), (2, 'buy'), (3, 'buy')) AS events(customer, event);
//! +-------------------+
//! | viewed_and_bought |
//! +-------------------+
//! | [2]               |
//! +-------------------+
//! ```
//!
//! A bitmap is Binary in the portable roaring format, with the 32-bit header while all elements are
//! below 2^32 and the 64-bit header beyond; both are read. Equal sets are equal bytes. Elements are
//! whole numbers from 0; a negative one is an error.
//!
//! | function | answer |
//! |---|---|
//! | `bitmap_agg(x)`, alias `group_bitmap_state` | the set of all x |
//! | `group_bitmap(x)` | how many distinct x, exactly |
//! | `bitmap_union(b)`, `bitmap_union_count(b)` | the union of all rows, its size |
//! | `bitmap_intersect(b)` | what all rows have in common |
//! | `intersect_count(b, key, v1, …)` | how many elements stand under all the keys |
//! | `bitmap_and`, `bitmap_or`, `bitmap_xor` `(a, b, …)`, `bitmap_andnot(a, b)` | a bitmap |
//! | the same with `_count`, as `bitmap_and_count` | its size |
//! | `bitmap_count(b)` | size |
//! | `bitmap_min(b)`, `bitmap_max(b)` | smallest and largest element, NULL when empty |
//! | `bitmap_contains(b, x)`, `bitmap_has_any(a, b)`, `bitmap_has_all(a, b)` | yes or no |
//! | `bitmap_to_array(b)`, `bitmap_from_array(list)` | elements in order; NULL elements left out |
//! | `sub_bitmap(b, offset, count)` | by position; a negative offset counts from the end |
//! | `bitmap_subset_in_range(b, first, end)` | elements from first up to, not including, end |
//! | `bitmap_subset_limit(b, start, limit)` | so many elements from start up; negative: down |
//! | `FROM unnest_bitmap(b)` | one row per element |
//!
//! NULL arguments answer NULL; NULL rows are skipped by aggregates. Empty is not NULL: the aggregate
//! of no rows and a subset that finds nothing are empty bitmaps. Bytes that are no bitmap are an
//! error.
//!
//! Cost: as roaring bitmaps, a few bytes per element or less. A constant bitmap, or the same one in
//! row after row, is decoded once. Elsewhere: StarRocks and Doris have these names over a type of
//! their own; they answer NULL where a subset finds nothing. ClickHouse: `groupBitmap` and
//! `groupBitmapState`, in its own format.

mod aggregate;
mod choose;
mod columns;
mod definition;
mod intersect_count;
mod portable;
mod scalar;
mod unnest;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use portable::{Bitmap, MalformedBitmap};
pub use unnest::UnnestBitmap;

/// The aggregates over bitmaps.
pub fn aggregate_functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    let aggregates = aggregate::aggregates().into_iter().map(AggregateUDF::from);
    let intersect_count = AggregateUDF::from(intersect_count::IntersectCount::default());
    aggregates.chain([intersect_count]).map(Arc::new)
}

/// The functions of a bitmap in each row.
pub fn scalar_functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    scalar::functions().into_iter().map(|function| Arc::new(ScalarUDF::from(function)))
}
