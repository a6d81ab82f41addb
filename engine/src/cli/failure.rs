//! Why a command ended, for the person who typed it and for the program that called it.

use arrow::error::ArrowError;
use habitue::ErrorKind;
use habitue_sql::access::AccessError;
use std::error::Error as _;
use std::io;
use std::process::ExitCode;

/// What a command's result says about how it ended.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// The exit codes; `engine/docs/shell.md` and `habitue help` state them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of the output went away: nothing to say.
    Quiet = 0,
    /// The request cannot be fulfilled as it is.
    Request = 1,
    /// Bytes at rest are damaged, or `verify` found problems.
    Damaged = 3,
    /// Another writer was faster, or the store did not answer: run again.
    Again = 4,
    /// A defect of the program.
    Internal = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Conflict | ErrorKind::Unavailable => Self::Again,
            ErrorKind::InvalidRequest => Self::Request,
            ErrorKind::CorruptData => Self::Damaged,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

/// An end that is not success: what happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened; may have several lines.
    pub(crate) message: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) advice: Option<String>,
}

impl Failure {
    /// The request is wrong: what, and what is wanted instead.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self { exit: Exit::Request, message: message.into(), causes: Vec::new(), advice: None }
    }

    /// Ctrl-C ended the work.
    pub(crate) fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, ..Self::request("interrupted") }
    }

    /// A file or stream of this machine failed.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Quiet, ..Self::request("") };
        }
        Self { causes: vec![error.to_string()], ..Self::request(format!("cannot {doing}")) }
    }

    /// The same with advice.
    pub(crate) fn with_advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// What goes to the error stream; empty when there is nothing to say.
    pub(crate) fn text(&self) -> String {
        if self.exit == Exit::Quiet {
            return String::new();
        }
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        if let Some(advice) = &self.advice {
            text.push_str(&format!("  help: {advice}\n"));
        }
        text
    }

    /// The exit code for the caller.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl From<habitue::Error> for Failure {
    fn from(error: habitue::Error) -> Self {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            let said = |before: &str| before.contains(&text) || text.contains(before);
            if !said(&message) && !causes.iter().any(|before| said(before)) {
                causes.push(text);
            }
            next = cause.source();
        }
        let kind = error.kind();
        Self { exit: kind.into(), message, causes, advice: advice(kind).map(Into::into) }
    }
}

impl From<habitue_sql::Error> for Failure {
    fn from(error: habitue_sql::Error) -> Self {
        habitue::Error::from(error).into()
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::request(error.to_string())
    }
}

impl From<habitue_storage::Error> for Failure {
    fn from(error: habitue_storage::Error) -> Self {
        habitue::Error::from(error).into()
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self { causes: vec![error.to_string()], ..Self::request("cannot write the answer") }
    }
}

fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Conflict => Some("another writer was faster; run the same command again"),
        ErrorKind::Unavailable => Some("nothing was half done; run the same command again"),
        ErrorKind::InvalidRequest => None,
        ErrorKind::CorruptData => Some("stop writing and run `habitue verify` on this database"),
        ErrorKind::Internal => Some("this is a defect of habitue; please report it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, `habitue sql … | head` ends with an error message.
    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::io("write", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.text(), "");
        assert_eq!(failure.exit, Exit::Quiet);
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = Failure::io("open file. path=x.csv", &denied).with_advice("choose another");
        let expected = "error: cannot open file. path=x.csv\n  because: permission denied\n  \
            help: choose another\n";
        assert_eq!(failure.text(), expected);
    }

    #[test]
    fn a_cause_that_repeats_the_message_is_left_out() {
        let storage = habitue_storage::Error::NotADatabase { url: "file:///x".into() };
        let failure = Failure::from(storage);
        assert!(failure.causes.is_empty(), "{failure:?}");
        assert_eq!(failure.exit, Exit::Request);
    }
}
