//! `habitue verify`.

use super::{Place, habitue};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_sound_database_is_clean() {
    let place = Place::with_events();
    let said = habitue(&["verify", &place.database()]).output();
    assert!(said.starts_with("checked versions "), "{said}");
    assert!(said.ends_with("no problems found\n"), "{said}");
}

// If this fails, damage at rest stays unseen.
#[test]
fn a_flipped_bit_is_found_and_has_its_exit_code() {
    let place = Place::with_events();
    let file = data_file(&place.path().join("db")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let ran = habitue(&["verify", &place.database()]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains(".parquet: "), "{}", ran.out);
    assert!(ran.err.starts_with("error: found 1 problem\n  help: "), "{}", ran.err);
}

/// Any file of events; dictionary runs and links are Parquet too.
fn data_file(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find_map(|path| {
        if path.is_dir() { data_file(&path) } else { Some(path) }.filter(|path| is_data_file(path))
    })
}

fn is_data_file(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "parquet")
        && path.components().any(|part| part.as_os_str() == "events")
}
