//! The `habitue` command as a person runs it: a process, its output, its exit code.

mod demo;
mod help;
mod ingest;
mod init;
mod maintain;
mod segments;
mod serve;
mod sql;
mod users;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A process that has ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// Its output, if it succeeded and complained about nothing.
    #[track_caller]
    fn output(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "output: {}", self.out);
        self.out
    }

    /// What it complained about, if it ended with this code and answered nothing.
    #[track_caller]
    fn complaint(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "complaint: {}", self.err);
        self.err
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_habitue"));
    command.args(arguments);
    for variable in ["COLUMNS", "RUST_BACKTRACE", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command
}

fn habitue(arguments: &[&str]) -> Ran {
    habitue_reading("", arguments)
}

/// Runs it with this standard input.
fn habitue_reading(input: &str, arguments: &[&str]) -> Ran {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads no input may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    Ran {
        code: ended.status.code().unwrap_or(-1),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// A folder of one test, with a database in it.
struct Place(tempfile::TempDir);

const VISITS: &str = r#"{"event_id":"1","ts":"2026-01-05T10:00:00Z","event":"visit","anonymous_id":"a1"}
{"event_id":"2","ts":"2026-01-05T10:05:00Z","event":"login","anonymous_id":"a1","user_id":"ada"}
{"event_id":"3","ts":"2026-01-06T09:00:00Z","event":"purchase","user_id":"ada","amount":12.5,"order_id":"o1"}
{"event_id":"4","ts":"2026-01-07T09:00:00Z","event":"visit","anonymous_id":"b1"}
{"event_id":"5","ts":"2026-01-07T09:30:00Z","event":"purchase","anonymous_id":"b1","user_id":"bob","amount":99}
{"event_id":"5","ts":"2026-01-07T09:30:00Z","event":"purchase","anonymous_id":"b1","user_id":"bob","amount":99}
{"event_id":"6","event":"visit","anonymous_id":"c1"}
"#;

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With an empty database.
    fn with_database() -> Self {
        let place = Self::new();
        habitue(&["init", &place.database()]).output();
        place
    }

    /// With a database that holds the events of [`VISITS`].
    fn with_events() -> Self {
        let place = Self::with_database();
        let file = place.file("visits.ndjson", VISITS);
        habitue(&["ingest", &place.database(), &file]).output();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn database(&self) -> String {
        text(self.path().join("db"))
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(path)
    }

    /// The answer of a statement as CSV.
    #[track_caller]
    fn ask(&self, sql: &str) -> String {
        habitue(&["sql", &self.database(), "--format", "csv", "-c", sql]).output()
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
