//! What the command says about itself.

use super::habitue;

/// Run with `HABITUE_WRITE_GOLDEN=1` to write the texts anew, then read the difference.
#[track_caller]
fn assert_help(arguments: &[&str], golden: &str) {
    let folder = format!("{}/tests/it/cli/help", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let path = format!("{folder}/{golden}.txt");
    let said = habitue(arguments).output();
    if std::env::var_os("HABITUE_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}

#[test]
fn the_first_page_names_commands_and_exit_codes() {
    assert_help(&["help"], "habitue");
    assert_eq!(habitue(&["--help"]).output(), habitue(&["help"]).output());
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "init", "ingest", "sql", "segments", "serve", "user", "token", "maintain", "verify", "demo",
    ];
    for command in commands {
        assert_help(&[command, "--help"], command);
    }
    for command in ["user", "token"] {
        assert_help(&[command, "add", "--help"], &format!("{command}_add"));
    }
}

#[test]
fn a_wrong_command_line_has_its_own_exit_code() {
    let complaint = habitue(&["ingets"]).complaint(2);
    assert!(complaint.contains("'ingest'"), "{complaint}");
    let complaint = habitue(&["sql", "--format", "xml"]).complaint(2);
    assert!(complaint.contains("[possible values: table, csv, json, ndjson, markdown]"));
    let complaint = habitue(&["sql", "--memory-limit", "lots"]).complaint(2);
    assert!(complaint.contains("wanted is something like 2GiB"), "{complaint}");
}

#[test]
fn the_version_is_told() {
    let version = concat!("habitue ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(habitue(&["--version"]).output(), version);
}
