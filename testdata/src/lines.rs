//! The shop's events as NDJSON, one object per line, in the database's own shape.

use crate::calendar::rfc3339;
use crate::shop::event::{BadReason, Row, ShopEvent};
use crate::shop::options::ShopOptions;
use crate::shop::simulation::Shop;
use std::fmt::Write;

/// All lines of a shop in the order of arrival, without line ends; broken rows are among them.
///
/// ```
/// use habitue_testdata::{ShopOptions, lines};
/// let first = lines(ShopOptions { customers: 5, ..ShopOptions::default() }).next();
/// assert!(first.is_some_and(|line| line.starts_with("{\"event_id\":\"e-")));
/// ```
pub fn lines(options: ShopOptions) -> impl Iterator<Item = String> {
    Shop::new(options).map(|row| match row {
        Row::Event(event) | Row::Duplicate(event) => line(&event),
        Row::Bad(bad) => bad.line,
    })
}

/// One event as a line, without its end. Fields that it does not have are left out.
pub fn line(event: &ShopEvent) -> String {
    let amount = event.amount_cents.map(money);
    render(event, Some(&rfc3339(event.ts_us)), amount.as_deref())
}

/// A line of this event that cannot be understood, for this reason.
pub(crate) fn broken(event: &ShopEvent, reason: BadReason) -> String {
    let amount = event.amount_cents.map(money);
    let amount = amount.as_deref();
    let ts = rfc3339(event.ts_us);
    match reason {
        BadReason::NoTimestamp => render(event, None, amount),
        BadReason::ImpossibleYear => {
            let impossible = format!("{}0{}", &ts[..4], &ts[4..]);
            render(event, Some(&impossible), amount)
        }
        BadReason::BrokenJson => {
            let whole = line(event);
            // The fields up to here are ASCII, so a cut never splits a letter.
            whole[..60.min(whole.len())].to_owned()
        }
        BadReason::WrongType => render(event, Some(&ts), Some("\"a lot\"")),
    }
}

/// Cents as a JSON number with two decimals.
fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

fn render(event: &ShopEvent, ts: Option<&str>, amount: Option<&str>) -> String {
    let mut text = String::with_capacity(320);
    text.push('{');
    put_text(&mut text, "event_id", Some(&event.event_id));
    put_text(&mut text, "ts", ts);
    put_text(&mut text, "event", Some(event.event));
    put_text(&mut text, "channel", Some(event.channel));
    put_text(&mut text, "source", event.source);
    put_text(&mut text, "campaign", event.campaign);
    for (namespace, value) in event.identifiers() {
        put_text(&mut text, namespace, Some(value));
    }
    put_raw(&mut text, "amount", amount);
    put_text(&mut text, "currency", event.currency);
    put_text(&mut text, "order_id", event.order_id.as_deref());
    put_text(&mut text, "product_id", event.product_id);
    put_raw(&mut text, "quantity", event.quantity.map(|pieces| pieces.to_string()).as_deref());
    put_raw(&mut text, "properties", event.properties.as_deref());
    text.push('}');
    text
}

fn put_text(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        put_raw(text, name, Some(&serde_json::Value::from(value).to_string()));
    }
}

fn put_raw(text: &mut String, name: &str, json: Option<&str>) {
    let Some(json) = json else { return };
    let comma = if text.len() > 1 { "," } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(text, "{comma}\"{name}\":{json}");
}
