//! The folder of the demo: its events, its database, and a mark that it may be replaced.

use crate::cli::failure::{Failure, Outcome};
use std::path::{Path, PathBuf};

/// A folder with this file in it was made by the demo.
const MARK: &str = ".habitue-demo";

/// Where the demo puts its files.
#[derive(Clone, Debug)]
pub(super) struct DemoFolder {
    path: PathBuf,
}

impl DemoFolder {
    /// The demo's folder at this path.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The file of events.
    pub(super) fn events(&self) -> PathBuf {
        self.path.join("events.ndjson")
    }

    /// The database, as other commands take it.
    pub(super) fn database(&self) -> String {
        self.path.join("shop").to_string_lossy().into_owned()
    }

    /// Whether an earlier demo left its database here.
    pub(super) fn has_database(&self) -> bool {
        self.path.join(MARK).exists() && self.path.join("shop").is_dir()
    }

    /// Makes the folder empty; refuses when it holds anything that the demo did not make.
    pub(super) fn make_anew(&self) -> Outcome {
        let shown = self.path.display();
        let failed = |error| {
            Failure::io(&format!("make folder. path={shown}"), &error)
                .with_advice("name another place with --dir")
        };
        if self.path.join(MARK).exists() {
            std::fs::remove_dir_all(&self.path).map_err(failed)?;
        }
        std::fs::create_dir_all(&self.path).map_err(failed)?;
        if std::fs::read_dir(&self.path).map_err(failed)?.next().is_some() {
            let message = format!("this folder is not empty and not the demo's. path={shown}");
            return Err(Failure::request(message).with_advice("name another place with --dir"));
        }
        std::fs::write(self.path.join(MARK), "made by `habitue demo`\n").map_err(failed)
    }

    /// The command that does again what the demo did with its events.
    pub(super) fn ingest_command(&self) -> String {
        let database = quoted(&self.database());
        format!("{} ingest {database} {}", program(), quoted(&self.events().to_string_lossy()))
    }

    /// A shell over the database.
    pub(super) fn sql_command(&self) -> String {
        format!("{} sql {}", program(), quoted(&self.database()))
    }

    /// The check of the database.
    pub(super) fn verify_command(&self) -> String {
        format!("{} verify {}", program(), quoted(&self.database()))
    }
}

/// How this program was called, so that its commands can be copied.
pub(super) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.is_empty() { "habitue".into() } else { quoted(&called) }
}

/// An argument as a POSIX shell takes it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, the demo deletes somebody's files.
    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("thesis.tex"), "years of work").unwrap();
        let folder = DemoFolder::new(place.path());
        assert!(folder.make_anew().unwrap_err().text().contains("--dir"));
        assert!(place.path().join("thesis.tex").exists());
    }

    #[test]
    fn an_earlier_demo_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let folder = DemoFolder::new(&place.path().join("demo"));
        folder.make_anew().unwrap();
        std::fs::create_dir(folder.database()).unwrap();
        assert!(folder.has_database());
        folder.make_anew().unwrap();
        assert!(!folder.has_database());
    }

    #[test]
    fn arguments_survive_the_shell() {
        assert_eq!(quoted("habitue-demo/shop"), "habitue-demo/shop");
        assert_eq!(quoted("my demo's"), "'my demo'\\''s'");
    }
}
