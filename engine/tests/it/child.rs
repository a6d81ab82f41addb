//! The test program started once more as a process of its own, so that it can be killed or watched.

use std::process::{Child, Command, Stdio};

/// Which job the child does; the parent sets it.
pub(crate) const JOB: &str = "HABITUE_TEST_JOB";
/// The database that the child works on.
pub(crate) const PLACE: &str = "HABITUE_TEST_PLACE";
/// A further argument.
pub(crate) const ARGUMENT: &str = "HABITUE_TEST_ARGUMENT";

/// Starts the test of this name as a child that does this job.
pub(crate) fn start(test: &str, job: &str, place: &str, argument: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(JOB, job)
        .env(PLACE, place)
        .env(ARGUMENT, argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// In a child that was started for this job: the database and the argument.
pub(crate) fn job(job: &str) -> Option<(String, String)> {
    (std::env::var(JOB).ok()? == job)
        .then(|| (std::env::var(PLACE).unwrap(), std::env::var(ARGUMENT).unwrap()))
}
