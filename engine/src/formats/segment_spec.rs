//! NDJSON of the Segment spec: track, identify, page, screen, group and alias calls.
//!
//! `properties` (of identify and group: `traits`) stay whole in the event's properties; amounts,
//! order numbers and the like are copied out of them into columns. `context` and what else a call
//! carries follow under keys that begin with `$`, so that nothing of it is lost.

use super::event_row::{EventColumns, EventRow};
use super::json_value::{for_each_entry, text_of, unquote};
use super::line_parser::EventLine;
use super::ndjson::extended;
use habitue_storage::event::special;
use std::borrow::Cow;

/// The kinds of calls, as `type` names them.
pub(super) const CALLS: [&str; 6] = ["track", "identify", "page", "screen", "group", "alias"];

/// The properties that are an amount of money; the first one that is a number counts.
const AMOUNTS: [&str; 3] = ["revenue", "total", "value"];

/// The format; holds the columns of the database's namespaces.
#[derive(Debug)]
pub(super) struct SegmentSpec {
    columns: EventColumns,
}

/// The entries of a call that have a meaning here, as they are written.
#[derive(Debug, Default)]
struct Call<'a> {
    kind: Option<&'a str>,
    event: Option<&'a str>,
    name: Option<&'a str>,
    category: Option<&'a str>,
    message_id: Option<&'a str>,
    timestamp: Option<&'a str>,
    original_timestamp: Option<&'a str>,
    sent_at: Option<&'a str>,
    anonymous_id: Option<&'a str>,
    user_id: Option<&'a str>,
    previous_id: Option<&'a str>,
    group_id: Option<&'a str>,
    channel: Option<&'a str>,
    properties: Option<&'a str>,
    traits: Option<&'a str>,
    context: Option<&'a str>,
    /// Entries without a meaning here, under their keys.
    others: Vec<(&'a str, &'a str)>,
}

impl SegmentSpec {
    /// The format for these namespaces.
    pub fn new(namespaces: &[String]) -> Self {
        Self { columns: EventColumns::new(namespaces) }
    }

    /// Sets a column from a JSON value; columns that the database does not have are passed over.
    fn set<'a>(
        &self,
        row: &mut EventRow<'a>,
        column: &str,
        value: Option<&'a str>,
    ) -> Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        let text = text_of(value).map_err(|problem| format!("{column} {problem}"))?;
        self.set_text(row, column, text);
        Ok(())
    }

    /// Sets a column that may be filled from several places; the first one wins.
    fn set_text<'a>(&self, row: &mut EventRow<'a>, column: &str, text: Option<Cow<'a, str>>) {
        if let Some(cell) = self.columns.place(column).and_then(|place| row.cells.get_mut(place)) {
            *cell = cell.take().or(text);
        }
    }

    fn identifiers<'a>(&self, call: &Call<'a>, row: &mut EventRow<'a>) -> Result<(), String> {
        self.set(row, "user_id", call.user_id)?;
        if call.kind == Some("alias") {
            // What a person was called before is nearly always the anonymous id of a device.
            self.set(row, "anonymous_id", call.previous_id)?;
        }
        self.set(row, "anonymous_id", call.anonymous_id)?;
        let context = Keys::of(call.context, &["traits", "device"])?;
        // The traits of a `group` call describe the group.
        let traits = if call.kind == Some("identify") { call.traits } else { None };
        for traits in [traits, context.found[0]] {
            let found = Keys::of(traits, &["email", "phone"])?;
            self.set_text(row, "email", found.text(0));
            self.set_text(row, "phone", found.text(1));
        }
        let device = Keys::of(context.found[1], &["id"])?;
        self.set_text(row, "device_id", device.text(0));
        Ok(())
    }

    fn commerce<'a>(&self, call: &Call<'a>, row: &mut EventRow<'a>) -> Result<(), String> {
        let names = ["currency", "order_id", "product_id", "quantity"];
        let found = Keys::of(call.properties, &[AMOUNTS.as_slice(), &names].concat())?;
        let amount = (0..AMOUNTS.len()).find_map(|at| found.number(at));
        self.set_text(row, "amount", amount);
        for (at, name) in (AMOUNTS.len()..).zip(names) {
            let text = if name == "quantity" { found.number(at) } else { found.text(at) };
            self.set_text(row, name, text);
        }
        Ok(())
    }

    fn origin<'a>(&self, call: &Call<'a>, row: &mut EventRow<'a>) -> Result<(), String> {
        self.set(row, "channel", call.channel)?;
        let context = Keys::of(call.context, &["campaign"])?;
        let campaign = Keys::of(context.found[0], &["name", "source"])?;
        self.set_text(row, "campaign", campaign.text(0));
        self.set_text(row, "source", campaign.text(1));
        Ok(())
    }
}

impl EventLine for SegmentSpec {
    type Memory<'a> = ();

    fn columns(&self) -> &EventColumns {
        &self.columns
    }

    fn parse<'a>(&self, line: &'a str, (): &mut (), row: &mut EventRow<'a>) -> Result<(), String> {
        let call = Call::read(line)?;
        let event = call.event_name()?;
        self.set_text(row, "event", Some(event));
        self.set(row, "event_id", call.message_id)?;
        for ts in [call.timestamp, call.original_timestamp, call.sent_at] {
            self.set(row, "ts", ts)?;
        }
        self.identifiers(&call, row)?;
        self.commerce(&call, row)?;
        self.origin(&call, row)?;
        row.cells[self.columns.properties()] = call.into_properties()?;
        Ok(())
    }
}

impl<'a> Call<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let mut call = Self::default();
        for_each_entry(line, |key, value| {
            match call.place(key) {
                Some(place) if place.is_some() => return Err(format!("{key} stands twice")),
                Some(place) => *place = (value != "null").then_some(value),
                None => call.others.push((key, value)),
            }
            Ok(())
        })?;
        let kind = call.kind.map(unquote).transpose()?;
        let known = kind.as_deref().and_then(|kind| CALLS.into_iter().find(|call| *call == kind));
        if known.is_none() {
            let came = call.kind.unwrap_or("nothing");
            return Err(format!("\"type\" is {came}, wanted one of {}", CALLS.join(", ")));
        }
        call.kind = known;
        Ok(call)
    }

    fn place(&mut self, key: &str) -> Option<&mut Option<&'a str>> {
        Some(match key {
            r#""type""# => &mut self.kind,
            r#""event""# => &mut self.event,
            r#""name""# => &mut self.name,
            r#""category""# => &mut self.category,
            r#""messageId""# => &mut self.message_id,
            r#""timestamp""# => &mut self.timestamp,
            r#""originalTimestamp""# => &mut self.original_timestamp,
            r#""sentAt""# => &mut self.sent_at,
            r#""anonymousId""# => &mut self.anonymous_id,
            r#""userId""# => &mut self.user_id,
            r#""previousId""# => &mut self.previous_id,
            r#""groupId""# => &mut self.group_id,
            r#""channel""# => &mut self.channel,
            r#""properties""# => &mut self.properties,
            r#""traits""# => &mut self.traits,
            r#""context""# => &mut self.context,
            _ => return None,
        })
    }

    fn event_name(&self) -> Result<Cow<'a, str>, String> {
        let special = match self.kind {
            Some("identify") => special::IDENTIFY,
            Some("page") => special::PAGE,
            Some("screen") => special::SCREEN,
            Some("group") => special::GROUP,
            Some("alias") => special::ALIAS,
            _ => {
                let event = self.event.ok_or("a track call without \"event\"")?;
                let text = text_of(event).map_err(|problem| format!("\"event\" {problem}"))?;
                return text.ok_or_else(|| "a track call without \"event\"".into());
            }
        };
        Ok(Cow::Borrowed(special))
    }

    /// The main object of the call as it came, and behind it everything that became no column.
    fn into_properties(self) -> Result<Option<Cow<'a, str>>, String> {
        let traits_are_main = matches!(self.kind, Some("identify" | "group"));
        let (main, second, second_key) = if traits_are_main {
            (self.traits, self.properties, r#""$properties""#)
        } else {
            (self.properties, self.traits, r#""$traits""#)
        };
        if main.is_some_and(|main| !main.starts_with('{')) {
            let key = if traits_are_main { "traits" } else { "properties" };
            return Err(format!("\"{key}\" is not an object"));
        }
        let named = [
            (second_key, second),
            (r#""$name""#, self.name),
            (r#""$category""#, self.category),
            (r#""$group_id""#, self.group_id),
            (r#""$previous_id""#, self.previous_id),
            (r#""$event""#, self.event.filter(|_| self.kind != Some("track"))),
            (r#""$context""#, self.context),
        ];
        let mut entries: Vec<_> =
            named.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        // The anonymous id of an alias call gave way to the previous id.
        if self.kind == Some("alias") && self.previous_id.is_some() {
            entries.extend(self.anonymous_id.map(|value| (r#""$anonymous_id""#, value)));
        }
        let others: Vec<_> = self
            .others
            .iter()
            .map(|(key, value)| (format!("\"${}", key.get(1..).unwrap_or("\"")), *value))
            .collect();
        entries.extend(others.iter().map(|(key, value)| (key.as_str(), *value)));
        if entries.is_empty() {
            return Ok(main.map(Cow::Borrowed));
        }
        Ok(Some(Cow::Owned(extended(main, &entries))))
    }
}

/// Some entries of a JSON object, by name; whatever is no object has none.
struct Keys<'a> {
    found: Vec<Option<&'a str>>,
}

impl<'a> Keys<'a> {
    fn of(object: Option<&'a str>, names: &[&str]) -> Result<Self, String> {
        let mut found = vec![None; names.len()];
        let Some(object) = object.filter(|object| object.starts_with('{')) else {
            return Ok(Self { found });
        };
        for_each_entry(object, |key, value| {
            let bare = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
            if let Some(at) = names.iter().position(|name| *name == bare) {
                found[at] = found[at].or(Some(value));
            }
            Ok(())
        })?;
        Ok(Self { found })
    }

    /// The text of an entry; a value that is no text stays in the properties only.
    fn text(&self, at: usize) -> Option<Cow<'a, str>> {
        let text = text_of(self.found[at]?).ok().flatten()?;
        (!text.is_empty()).then_some(text)
    }

    /// The text of an entry that is a number, or text that is one: `value` may be anything.
    fn number(&self, at: usize) -> Option<Cow<'a, str>> {
        let text = self.text(at)?;
        let plain = text.trim().trim_start_matches(['-', '+']);
        let digits = plain.bytes().filter(u8::is_ascii_digit).count();
        let points = plain.bytes().filter(|byte| *byte == b'.').count();
        let is_plain = digits > 0 && points <= 1 && digits + points == plain.len();
        let is_json_number = self.found[at].is_some_and(|raw| {
            raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        });
        (is_plain || is_json_number).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::LineBlock;
    use super::super::line_parser::parse_events;
    use super::*;
    use arrow::array::{Array, AsArray};
    use std::collections::BTreeMap;

    /// The cells of the only line that are not NULL, or the reason of its rejection.
    fn event(line: &str) -> Result<BTreeMap<String, String>, String> {
        let namespaces = ["user_id", "email", "phone", "anonymous_id", "device_id"];
        let format = SegmentSpec::new(&namespaces.map(String::from));
        let block = LineBlock { first_line: 1, text: line.into(), overlong: None };
        let block = parse_events(&format, block).unwrap();
        if let Some(reject) = block.rejects.first() {
            return Err(reject.reason.clone());
        }
        let batch = block.batch.unwrap();
        let schema = batch.schema();
        let cells = schema.fields().iter().zip(batch.columns()).filter_map(|(field, column)| {
            let text = column.as_string::<i32>();
            (!text.is_null(0)).then(|| (field.name().clone(), text.value(0).to_owned()))
        });
        Ok(cells.collect())
    }

    #[test]
    fn a_track_call_gives_its_money_and_keeps_its_properties() {
        let event = event(
            r#"{"type":"track","event":"Order Completed","messageId":"m1","anonymousId":"a",
            "timestamp":"2026-01-02T03:04:05.678Z","sentAt":"2026-01-02T03:04:09Z","channel":"web",
            "properties":{"order_id":7,"revenue":"19.99","total":25,"currency":"EUR","quantity":2},
            "context":{"campaign":{"name":"spring","source":"mail"},"device":{"id":"d"},
            "traits":{"email":"A@x"}},"integrations":{"All":true}}"#
                .replace('\n', " ")
                .as_str(),
        )
        .unwrap();
        let cell = |name: &str| event.get(name).map(String::as_str);
        assert_eq!(cell("event_id"), Some("m1"));
        assert_eq!(cell("ts"), Some("2026-01-02T03:04:05.678Z"));
        assert_eq!(cell("event"), Some("Order Completed"));
        assert_eq!(cell("amount"), Some("19.99"));
        assert_eq!(cell("order_id"), Some("7"));
        assert_eq!(cell("quantity"), Some("2"));
        assert_eq!(cell("currency"), Some("EUR"));
        assert_eq!(cell("campaign"), Some("spring"));
        assert_eq!(cell("source"), Some("mail"));
        assert_eq!(cell("channel"), Some("web"));
        assert_eq!(cell("email"), Some("A@x"));
        assert_eq!(cell("device_id"), Some("d"));
        let properties: serde_json::Value =
            serde_json::from_str(cell("properties").unwrap()).unwrap();
        assert_eq!(properties["revenue"], "19.99");
        assert_eq!(properties["$integrations"]["All"], true);
        assert_eq!(properties["$context"]["device"]["id"], "d");
    }

    #[test]
    fn the_traits_of_an_identify_call_are_its_properties() {
        let event = event(
            r#"{"type":"identify","userId":"u","anonymousId":"a","timestamp":"t","traits":{"email":"a@x","plan":"pro"}}"#,
        )
        .unwrap();
        assert_eq!(event["event"], "$identify");
        assert_eq!(event["email"], "a@x");
        assert_eq!(event["properties"], r#"{"email":"a@x","plan":"pro"}"#);
    }

    #[test]
    fn an_alias_call_links_the_previous_id() {
        let event = event(r#"{"type":"alias","previousId":"p","userId":"u","timestamp":"t"}"#);
        let event = event.unwrap();
        assert_eq!(event["event"], "$alias");
        assert_eq!(event["anonymous_id"], "p");
        assert_eq!(event["user_id"], "u");
    }

    #[test]
    fn pages_screens_and_groups_keep_their_names() {
        let page = event(r#"{"type":"page","name":"Home","userId":"u","properties":{"url":"/"}}"#);
        let page = page.unwrap();
        assert_eq!(page["event"], "$page");
        assert_eq!(page["properties"], r#"{"url":"/","$name":"Home"}"#);
        let group =
            event(r#"{"type":"group","groupId":"g","userId":"u","traits":{"email":"g@x"}}"#);
        let group = group.unwrap();
        assert_eq!(group["properties"], r#"{"email":"g@x","$group_id":"g"}"#);
        assert!(!group.contains_key("email"), "the group's address is nobody's");
    }

    #[test]
    fn a_property_that_is_no_number_is_no_amount() {
        let line = |value: &str| {
            format!(
                r#"{{"type":"track","event":"e","userId":"u","properties":{{"value":{value}}}}}"#
            )
        };
        for value in [r#""free""#, "true", "{}", r#""""#, "null", r#""1,50""#] {
            assert!(!event(&line(value)).unwrap().contains_key("amount"), "{value}");
        }
        for value in ["1", "-1.5", r#""2.50""#] {
            assert!(event(&line(value)).unwrap().contains_key("amount"), "{value}");
        }
    }

    #[test]
    fn what_is_no_call_is_rejected() {
        assert!(event(r#"{"event":"x"}"#).unwrap_err().contains("\"type\" is nothing"));
        assert!(event(r#"{"type":"trak"}"#).unwrap_err().contains("\"trak\""));
        assert!(event(r#"{"type":"track"}"#).unwrap_err().contains("without \"event\""));
        assert!(event(r#"{"type":"page","type":"track"}"#).unwrap_err().contains("twice"));
        assert!(event(r#"{"type":"page","properties":[]}"#).unwrap_err().contains("not an object"));
    }
}
