//! The columns of an event, as they lie in data files and as they come in.

use crate::data_file::members::is_member_column;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// `event_id`: text, unique within the time partition of the event and its neighbours.
pub const EVENT_ID: &str = "event_id";
/// `ts`: when it happened, µs UTC.
pub const TS: &str = "ts";
/// `received_at`: when the database took it in, µs UTC.
pub const RECEIVED_AT: &str = "received_at";
/// `event`: the name of what happened; few distinct values.
pub const EVENT: &str = "event";
/// `amount`: money of this event, refunds negative, `DECIMAL(18,4)`.
pub const AMOUNT: &str = "amount";
/// `quantity`: pieces, `DECIMAL(18,4)`.
pub const QUANTITY: &str = "quantity";
/// `properties`: everything else, one JSON object as text.
pub const PROPERTIES: &str = "properties";
/// `identifier_id`: the event's own identifier, stored for ever; NULL when it carries none.
pub const IDENTIFIER_ID: &str = "identifier_id";
/// `customer_id`: not stored; gathered from the identity map of the snapshot.
pub const CUSTOMER_ID: &str = "customer_id";

/// Columns of text with few distinct values, stored with dictionary encoding.
pub const LABELS: [&str; 5] = [EVENT, "channel", "source", "campaign", "currency"];

/// Columns of text that are neither labels nor identifiers of customers.
const TEXTS: [&str; 4] = [EVENT_ID, "order_id", "product_id", PROPERTIES];

/// Event names that the database itself gives to calls that are not tracked events.
pub mod special {
    /// A Segment `identify` call or a row that only carries traits: `properties` are the traits.
    pub const IDENTIFY: &str = "$identify";
    /// A page view.
    pub const PAGE: &str = "$page";
    /// A screen view.
    pub const SCREEN: &str = "$screen";
    /// A `group` call: `properties` are the group's traits.
    pub const GROUP: &str = "$group";
    /// An `alias` call: it only links.
    pub const ALIAS: &str = "$alias";
}

/// The type of `ts` and `received_at`.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type of `amount` and `quantity`.
pub fn decimal_type() -> DataType {
    DataType::Decimal128(18, 4)
}

/// The type of a label column in memory: a dictionary, so that names are compared as numbers.
pub fn label_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The columns of a data file for these identifier namespaces, in this order:
/// `event_id, ts, received_at, event, channel, source, campaign, <namespaces…>, amount, currency,
/// order_id, product_id, quantity, properties, identifier_id`.
///
/// ```
/// let schema = habitue_storage::event::file_schema(["user_id", "email"]);
/// assert_eq!(schema.field(0).name(), "event_id");
/// assert!(schema.field_with_name("email").is_ok());
/// ```
pub fn file_schema<'a>(namespaces: impl IntoIterator<Item = &'a str>) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let label = |name: &str| Field::new(name, label_type(), true);
    let mut fields = vec![
        Field::new(EVENT_ID, DataType::Utf8, false),
        Field::new(TS, timestamp_type(), false),
        Field::new(RECEIVED_AT, timestamp_type(), false),
        Field::new(EVENT, label_type(), false),
        label("channel"),
        label("source"),
        label("campaign"),
    ];
    fields.extend(namespaces.into_iter().map(text));
    fields.extend([
        Field::new(AMOUNT, decimal_type(), true),
        label("currency"),
        text("order_id"),
        text("product_id"),
        Field::new(QUANTITY, decimal_type(), true),
        text(PROPERTIES),
        Field::new(IDENTIFIER_ID, DataType::UInt32, true),
    ]);
    Arc::new(Schema::new(fields))
}

/// The columns of a data file that hold identifiers, one for each namespace.
pub(crate) fn namespaces_of(schema: &Schema) -> impl Iterator<Item = &str> {
    let is_namespace = |field: &&Arc<Field>| {
        *field.data_type() == DataType::Utf8
            && !TEXTS.contains(&field.name().as_str())
            && !is_member_column(field.name())
    };
    schema.fields().iter().filter(is_namespace).map(|field| field.name().as_str())
}
