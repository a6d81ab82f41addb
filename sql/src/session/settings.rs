//! The settings of a session that are ours: `SET habitue.… = …`.

use crate::error::{Error, Named};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use std::any::Any;

/// Which version a session reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// The newest at the start of each query.
    #[default]
    Newest,
    /// This one.
    Version(u64),
    /// The newest that was committed at or before this time.
    Timestamp(DateTime<Utc>),
}

/// Whether scans leave out what cannot match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pruning {
    /// Files and rows that cannot match are not read.
    #[default]
    On,
    /// Everything is read and filtered afterwards; answers are the same.
    Off,
}

/// Whether queries may walk from customer to customer over hot columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CustomerWalk {
    /// Where memory allows; columns that are wanted again are kept.
    #[default]
    On,
    /// The same, but each query reads its columns itself and keeps nothing.
    Once,
    /// Never: everything is read from Parquet; answers are the same.
    Off,
}

/// The `habitue.*` settings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) as_of: AsOf,
    pub(crate) pruning: Pruning,
    pub(crate) customer_walk: CustomerWalk,
}

const AS_OF_VERSION: &str = "as_of_version";
const AS_OF_TIMESTAMP: &str = "as_of_timestamp";
const PRUNING: &str = "pruning";
const CUSTOMER_WALK: &str = "customer_walk";
/// What is written in a setting to have its default again.
const DEFAULT: [&str; 3] = ["", "default", "newest"];

impl Settings {
    /// The settings among the options of a session.
    pub(crate) fn of(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().copied().unwrap_or_default()
    }

    fn is_default(value: &str) -> bool {
        DEFAULT.iter().any(|default| value.eq_ignore_ascii_case(default))
    }

    fn set_as_of_version(&mut self, value: &str) -> Result<()> {
        self.as_of = if Self::is_default(value) {
            AsOf::Newest
        } else {
            let wanted = "a version number as in system.commits, or 'newest'";
            AsOf::Version(value.trim().parse().map_err(|_| refused(AS_OF_VERSION, value, wanted))?)
        };
        Ok(())
    }

    fn set_as_of_timestamp(&mut self, value: &str) -> Result<()> {
        self.as_of = if Self::is_default(value) {
            AsOf::Newest
        } else {
            let wanted = "a time like 2026-01-31T12:00:00Z, or 'newest'";
            AsOf::Timestamp(
                parse_time(value).ok_or_else(|| refused(AS_OF_TIMESTAMP, value, wanted))?,
            )
        };
        Ok(())
    }

    fn set_pruning(&mut self, value: &str) -> Result<()> {
        self.pruning = match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "" | "default" => Pruning::On,
            "off" | "false" => Pruning::Off,
            _ => return Err(refused(PRUNING, value, "on or off").into()),
        };
        Ok(())
    }

    fn set_customer_walk(&mut self, value: &str) -> Result<()> {
        self.customer_walk = match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "" | "default" => CustomerWalk::On,
            "once" => CustomerWalk::Once,
            "off" | "false" => CustomerWalk::Off,
            _ => return Err(refused(CUSTOMER_WALK, value, "on, once or off").into()),
        };
        Ok(())
    }
}

/// A time as people write it; without an offset it is UTC.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    time.or_else(day).map(|time| time.and_utc())
}

fn refused(setting: &str, value: &str, wanted: &str) -> Error {
    Error::invalid(format!("habitue.{setting}"), format!("'{value}' came, {wanted} is wanted"))
}

impl ExtensionOptions for Settings {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            AS_OF_VERSION => self.set_as_of_version(value),
            AS_OF_TIMESTAMP => self.set_as_of_timestamp(value),
            PRUNING => self.set_pruning(value),
            CUSTOMER_WALK => self.set_customer_walk(value),
            _ => {
                let known = [AS_OF_VERSION, AS_OF_TIMESTAMP, PRUNING, CUSTOMER_WALK];
                Err(Error::unknown(Named::Setting, key, known).into())
            }
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let version = match self.as_of {
            AsOf::Version(version) => Some(version.to_string()),
            AsOf::Newest | AsOf::Timestamp(_) => None,
        };
        let timestamp = match self.as_of {
            AsOf::Timestamp(time) => Some(time.to_rfc3339()),
            AsOf::Newest | AsOf::Version(_) => None,
        };
        let pruning = match self.pruning {
            Pruning::On => "on",
            Pruning::Off => "off",
        };
        let customer_walk = match self.customer_walk {
            CustomerWalk::On => "on",
            CustomerWalk::Once => "once",
            CustomerWalk::Off => "off",
        };
        let entry = |key: &str, value, description| ConfigEntry {
            key: format!("{}.{key}", Self::PREFIX),
            value,
            description,
        };
        vec![
            entry(AS_OF_VERSION, version, "the version that queries read; empty is the newest"),
            entry(AS_OF_TIMESTAMP, timestamp, "queries read what was committed by this time"),
            entry(PRUNING, Some(pruning.into()), "off reads everything and filters afterwards"),
            entry(
                CUSTOMER_WALK,
                Some(customer_walk.into()),
                "once keeps no columns for later queries, off reads Parquet row by row",
            ),
        ]
    }
}

impl ConfigExtension for Settings {
    const PREFIX: &'static str = "habitue";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_without_offset_is_utc() {
        let expected = DateTime::parse_from_rfc3339("2026-01-31T12:30:00Z").unwrap();
        assert_eq!(parse_time("2026-01-31 12:30"), Some(expected.with_timezone(&Utc)));
    }

    #[test]
    fn the_last_word_about_time_travel_counts() {
        let mut settings = Settings::default();
        settings.set("as_of_version", "3").unwrap();
        settings.set("as_of_timestamp", "2026-01-01").unwrap();
        assert!(matches!(settings.as_of, AsOf::Timestamp(_)));
        settings.set("as_of_version", "newest").unwrap();
        assert_eq!(settings.as_of, AsOf::Newest);
    }

    #[test]
    fn a_misspelt_setting_is_answered_with_the_right_one() {
        let error = Settings::default().set("prunning", "off").unwrap_err();
        assert!(Error::from(error).to_string().contains("did you mean 'pruning'?"));
    }
}
