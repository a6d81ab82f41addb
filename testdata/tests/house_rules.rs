//! The rules of the house, as data: who may use whom, and what a source file looks like.

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What one crate may use of ours and what it never touches, directly or (with `*`) at all.
struct Room {
    package: &'static str,
    uses: &'static [&'static str],
    never: &'static [&'static str],
}

const ROOMS: [Room; 6] = [
    Room {
        package: "habitue-storage",
        uses: &[],
        never: &["datafusion*", "arrow-flight*", "clap*"],
    },
    Room { package: "habitue-udf", uses: &[], never: &["object_store", "parquet", "tokio"] },
    Room { package: "habitue-sql", uses: &["habitue-storage", "habitue-udf"], never: &["clap*"] },
    Room {
        package: "habitue",
        uses: &["habitue-sql", "habitue-storage", "habitue-testdata"],
        never: &["datafusion-cli*", "deltalake*", "datafusion-flight-sql-server*"],
    },
    Room { package: "habitue-benches", uses: &["habitue", "habitue-testdata"], never: &[] },
    Room { package: "habitue-testdata", uses: &[], never: &["datafusion*", "object_store*"] },
];

/// A file longer than this, tests not counted, is a noun that wants to be a folder.
const LINES_MAX: usize = 500;
const NAMES_FORBIDDEN: [&str; 5] = ["utils", "util", "common", "helpers", "misc"];

fn root() -> PathBuf {
    // Read when the test runs: clones that share a target directory share the binary too.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    Path::new(&crate_folder).parent().unwrap().to_path_buf()
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn metadata() -> Value {
    // Only this machine's packages: those of other systems need not have been fetched.
    let host = format!("--filter-platform={}", host());
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", &host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package id to the names that it needs to be built, without those of its tests.
fn needs(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let is_normal = |dependency: &Value| {
        let kinds = dependency["dep_kinds"].as_array().unwrap();
        kinds.iter().any(|kind| kind["kind"].is_null())
    };
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| {
            let needed = node["deps"].as_array().unwrap().iter().filter(|d| is_normal(d));
            let ids = needed.map(|d| d["pkg"].as_str().unwrap().to_owned()).collect();
            (node["id"].as_str().unwrap().to_owned(), ids)
        })
        .collect()
}

fn closure(needs: &BTreeMap<String, Vec<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = needs[from].clone();
    while let Some(id) = open.pop() {
        if seen.insert(id.clone()) {
            open.extend(needs[&id].iter().cloned());
        }
    }
    seen
}

#[test]
fn each_crate_uses_only_what_its_room_allows() {
    let metadata = metadata();
    let needs = needs(&metadata);
    let packages = metadata["packages"].as_array().unwrap();
    let name_of: BTreeMap<&str, &str> =
        packages.iter().map(|p| (p["id"].as_str().unwrap(), p["name"].as_str().unwrap())).collect();
    for room in &ROOMS {
        let (id, _) = name_of.iter().find(|(_, name)| **name == room.package).unwrap();
        let direct: BTreeSet<&str> = needs[*id].iter().map(|d| name_of[d.as_str()]).collect();
        let all: BTreeSet<&str> = closure(&needs, id).iter().map(|d| name_of[d.as_str()]).collect();
        for ours in direct.iter().filter(|name| name.starts_with("habitue")) {
            assert!(room.uses.contains(ours), "{} may not use {ours}", room.package);
        }
        for never in room.never {
            let (name, reached) = match never.strip_suffix('*') {
                Some(name) => (name, &all),
                None => (*never, &direct),
            };
            assert!(!reached.contains(name), "{} may not touch {name}", room.package);
        }
    }
}

// If this fails, `cargo run -- demo` in a fresh clone asks which program is meant.
#[test]
fn cargo_run_means_habitue() {
    let metadata = metadata();
    let by_default = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let programs: Vec<&str> = packages
        .iter()
        .filter(|package| by_default.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().unwrap())
        .filter(|target| target["kind"].as_array().unwrap().iter().any(|kind| kind == "bin"))
        .map(|target| target["name"].as_str().unwrap())
        .collect();
    assert_eq!(programs, ["habitue"]);
}

fn sources_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                sources_below(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources_below(&root(), &mut found);
    found.sort();
    assert!(found.len() > 50, "only {} sources found below {:?}", found.len(), root());
    found
}

/// Lines before the file's own tests begin.
fn lines_without_tests(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs" || name == "proptests.rs")
}

#[test]
fn every_source_opens_with_a_sentence_about_itself() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or("");
        assert!(first.starts_with("//! "), "{} opens with {first:?}", path.display());
    }
}

#[test]
fn no_source_is_longer_than_a_noun() {
    for path in sources().iter().filter(|path| !is_test(path)) {
        let lines = lines_without_tests(&std::fs::read_to_string(path).unwrap());
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_source_has_a_name_that_says_nothing() {
    for path in sources() {
        let relative = path.strip_prefix(root()).unwrap();
        for part in relative.components() {
            let part = part.as_os_str().to_string_lossy();
            let stem = part.trim_end_matches(".rs");
            assert!(!NAMES_FORBIDDEN.contains(&stem), "{} says nothing", path.display());
        }
    }
}

#[test]
fn the_top_level_is_the_layout_that_was_asked_for() {
    let folders: BTreeSet<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let wanted = ["benches", "engine", "sql", "storage", "testdata", "udf"];
    assert_eq!(folders, wanted.map(String::from).into());
}
