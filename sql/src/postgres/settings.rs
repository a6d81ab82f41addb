//! Postgres's own settings, as far as clients ask for them; each connection has its own.
//!
//! What Habitué cannot do is refused; what makes no difference to it is remembered and shown again.

use crate::postgres::failure::{INVALID_PARAMETER, failed};
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::auth::ServerParameterProvider;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The version that clients are told: they choose their questions by it.
pub(super) const SERVER_VERSION: &str = "16.6";

/// Whether a client may set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It is remembered.
    Free,
    /// Any other value than this one would be a lie.
    Fixed,
}

/// All names, with the values at the start of a connection.
const KNOWN: &[(&str, &str, Change)] = &[
    ("application_name", "", Change::Free),
    ("bytea_output", "hex", Change::Fixed),
    ("check_function_bodies", "on", Change::Free),
    ("client_encoding", "UTF8", Change::Fixed),
    ("client_min_messages", "notice", Change::Free),
    ("datestyle", "ISO, MDY", Change::Fixed),
    ("default_tablespace", "", Change::Free),
    ("default_transaction_deferrable", "off", Change::Free),
    ("default_transaction_isolation", "read committed", Change::Free),
    ("default_transaction_read_only", "off", Change::Free),
    ("escape_string_warning", "on", Change::Free),
    ("extra_float_digits", "1", Change::Free),
    ("idle_in_transaction_session_timeout", "0", Change::Free),
    ("idle_session_timeout", "0", Change::Free),
    ("in_hot_standby", "off", Change::Fixed),
    ("integer_datetimes", "on", Change::Fixed),
    ("intervalstyle", "postgres", Change::Fixed),
    ("is_superuser", "off", Change::Fixed),
    ("jit", "off", Change::Free),
    ("lc_collate", "C", Change::Fixed),
    ("lc_ctype", "C", Change::Fixed),
    ("lc_messages", "C", Change::Free),
    ("lc_monetary", "C", Change::Free),
    ("lc_numeric", "C", Change::Free),
    ("lc_time", "C", Change::Free),
    ("lock_timeout", "0", Change::Free),
    ("max_identifier_length", "63", Change::Fixed),
    ("max_index_keys", "32", Change::Fixed),
    ("password_encryption", "scram-sha-256", Change::Fixed),
    ("row_security", "on", Change::Free),
    ("scram_iterations", "4096", Change::Fixed),
    ("search_path", "main", Change::Free),
    ("server_encoding", "UTF8", Change::Fixed),
    ("server_version", SERVER_VERSION, Change::Fixed),
    ("server_version_num", "160006", Change::Fixed),
    ("session_authorization", "", Change::Fixed),
    ("standard_conforming_strings", "on", Change::Fixed),
    ("statement_timeout", "0", Change::Free),
    ("synchronous_commit", "on", Change::Free),
    ("timezone", "UTC", Change::Fixed),
    ("transaction_deferrable", "off", Change::Free),
    ("transaction_isolation", "read committed", Change::Free),
    ("transaction_read_only", "off", Change::Free),
    ("xmloption", "content", Change::Free),
];

/// What Postgres reports without being asked, in its own spelling.
const REPORTED: &[(&str, &str)] = &[
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("in_hot_standby", "in_hot_standby"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("is_superuser", "is_superuser"),
    ("scram_iterations", "scram_iterations"),
    ("search_path", "search_path"),
    ("server_encoding", "server_encoding"),
    ("server_version", "server_version"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];

/// The settings of one connection.
#[derive(Clone, Debug)]
pub(super) struct ClientSettings {
    /// Those that differ from the start.
    changed: BTreeMap<&'static str, String>,
    /// Those of the start that differ from [`KNOWN`].
    first: BTreeMap<&'static str, String>,
}

impl ClientSettings {
    /// The names of all settings.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _, _)| *name)
    }

    /// The settings of a user's new connection, from what its first message says. Names that
    /// nobody knows are left out there, as drivers send what suits newer servers.
    pub(super) fn new(user: &str, options: &BTreeMap<String, String>) -> Self {
        let first = BTreeMap::from([("session_authorization", user.to_owned())]);
        let mut settings = Self { changed: BTreeMap::new(), first };
        let in_options = options.get("options").map_or_else(Vec::new, |text| pairs(text));
        let given = options.iter().map(|(name, value)| (name.clone(), value.clone()));
        for (name, value) in given.chain(in_options) {
            if let Some((name, _, Change::Free)) = known(&name) {
                settings.first.insert(name, value);
            }
        }
        settings
    }

    /// Whether this is one of Postgres's own.
    pub(super) fn is_known(name: &str) -> bool {
        known(name).is_some()
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (name, default, _) = known(name)?;
        let own = self.changed.get(name).or_else(|| self.first.get(name));
        Some(own.map_or(default, String::as_str))
    }

    /// Sets it, if that is not a promise that would not be kept.
    pub(super) fn set(&mut self, name: &str, value: &str) -> PgWireResult<()> {
        let Some((name, default, change)) = known(name) else {
            return Err(failed("42704", format!("setting '{name}' does not exist")));
        };
        if name == "statement_timeout" {
            parse_timeout(value).ok_or_else(|| refused(name, value, "500, '2s' or '5min'"))?;
        }
        if change == Change::Fixed && !same(name, value, self.get(name).unwrap_or(default)) {
            return Err(refused(name, value, default));
        }
        if change == Change::Free {
            self.changed.insert(name, value.to_owned());
        }
        Ok(())
    }

    /// As it was when the connection began.
    pub(super) fn reset(&mut self, name: &str) {
        if let Some((name, _, _)) = known(name) {
            self.changed.remove(name);
        }
    }

    /// All as they were when the connection began.
    pub(super) fn reset_all(&mut self) {
        self.changed.clear();
    }

    /// Names and values.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let value = |name: &str| self.get(name).unwrap_or_default().to_owned();
        KNOWN.iter().map(|(name, _, _)| ((*name).to_owned(), value(name))).collect()
    }

    /// The client's own limit for its statements.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        parse_timeout(self.get("statement_timeout")?).filter(|limit| !limit.is_zero())
    }
}

impl ServerParameterProvider for ClientSettings {
    fn server_parameters<C>(&self, _client: &C) -> Option<HashMap<String, String>>
    where
        C: ClientInfo,
    {
        let value = |name: &str| self.get(name).unwrap_or_default().to_owned();
        let reported = REPORTED.iter().map(|(name, shown)| ((*shown).to_owned(), value(name)));
        Some(reported.collect())
    }
}

fn known(name: &str) -> Option<(&'static str, &'static str, Change)> {
    KNOWN.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(name)).copied()
}

fn refused(name: &str, value: &str, wanted: &str) -> PgWireError {
    failed(INVALID_PARAMETER, format!("{name} cannot be '{value}' here, wanted is {wanted}"))
}

/// Whether two values of a fixed setting mean the same.
fn same(name: &str, value: &str, fixed: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' ', '"', '\''], "");
    let (value, fixed) = (plain(value), plain(fixed));
    match name {
        "timezone" => ["utc", "etc/utc", "gmt", "zulu", "default"].contains(&value.as_str()),
        "client_encoding" => ["utf8", "unicode", "default"].contains(&value.as_str()),
        // Dates are written in the ISO style, in which the order of the others does not show.
        "datestyle" => value.starts_with("iso") || value == "default",
        _ => value == fixed || value == "default",
    }
}

/// Milliseconds, or a number with a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let text = text.trim().trim_matches('\'').trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// The settings in a start-up option such as `-c statement_timeout=5s -c jit=off`.
fn pairs(options: &str) -> Vec<(String, String)> {
    let words = options.split_whitespace();
    let settings = words.filter_map(|word| {
        let word = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).unwrap_or(word);
        let (name, value) = word.split_once('=')?;
        Some((name.replace('-', "_"), value.replace('\\', "")))
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ClientSettings {
        let options = [("options", "-c statement_timeout=5s -cjit=on"), ("application_name", "bi")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ClientSettings::new("ada", &options.into())
    }

    #[test]
    fn a_connection_begins_with_what_its_first_message_says() {
        let mut settings = settings();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        assert_eq!(settings.get("APPLICATION_NAME"), Some("bi"));
        assert_eq!(settings.get("session_authorization"), Some("ada"));
        settings.set("statement_timeout", "0").unwrap();
        assert_eq!(settings.statement_timeout(), None);
        settings.reset_all();
        assert_eq!(settings.get("statement_timeout"), Some("5s"));
    }

    // If this fails, a client believes that it gets another encoding or time zone, and does not.
    #[test]
    fn promises_that_would_not_be_kept_are_refused() {
        let mut settings = settings();
        for (name, value) in
            [("client_encoding", "LATIN1"), ("timezone", "Europe/Berlin"), ("datestyle", "German")]
        {
            assert!(settings.set(name, value).is_err(), "{name}");
        }
        for (name, value) in
            [("client_encoding", "'utf-8'"), ("TimeZone", "UTC"), ("DateStyle", "ISO")]
        {
            settings.set(name, value).unwrap();
        }
    }

    #[test]
    fn timeouts_have_units() {
        let milliseconds = |text| parse_timeout(text).map(|limit| limit.as_millis());
        assert_eq!(milliseconds("250"), Some(250));
        assert_eq!(milliseconds("'2 min'"), Some(120_000));
        assert_eq!(milliseconds("soon"), None);
    }
}
