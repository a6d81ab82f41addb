//! When a user or a token ends.

use crate::cli::age::parse_age;
use crate::cli::failure::{Failure, Outcome};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::time::Duration;

/// The option that users and tokens share.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Expiry {
    /// End it after this time, such as 12h or 90d [default: never]
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    expires: Option<Duration>,
}

impl Expiry {
    /// When that is, from now on.
    pub(crate) fn end(self) -> Outcome<Option<DateTime<Utc>>> {
        let Some(expires) = self.expires else { return Ok(None) };
        let end =
            TimeDelta::from_std(expires).ok().and_then(|age| Utc::now().checked_add_signed(age));
        let too_far = || Failure::request("--expires is too far away; leave it out for never");
        Ok(Some(end.ok_or_else(too_far)?))
    }

    /// What a list says about it.
    pub(crate) fn words(end: Option<DateTime<Utc>>) -> String {
        match end {
            None => "for ever".into(),
            Some(end) => {
                let word = if end <= Utc::now() { "ended" } else { "until" };
                format!("{word} {}", end.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
        }
    }
}
