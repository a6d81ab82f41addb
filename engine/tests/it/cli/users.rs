//! Users and tokens. Breaks for a user if this fails: who should get in does not, or the other way
//! round.

use super::{Place, habitue, habitue_reading, text};

#[test]
fn a_user_is_added_listed_and_removed() {
    let place = Place::new();
    let file = text(place.path().join("users.json"));
    let add = ["user", "add", &file, "ada", "--role", "admin", "--password-stdin"];
    let said = habitue_reading("correct horse\n", &add).output();
    assert_eq!(said, "user 'ada' may log in as admin\n");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(!kept.contains("correct horse"), "the password itself is not kept: {kept}");
    let complaint = habitue_reading("correct horse\n", &add).complaint(1);
    assert!(complaint.contains("exists already") && complaint.contains("--replace"), "{complaint}");
    let replaced = [&add[..], &["--replace", "--expires", "7d"]].concat();
    habitue_reading("correct horse 2\n", &replaced).output();
    let listed = habitue(&["user", "list", &file]).output();
    assert!(listed.starts_with("ada  admin  until 20"), "{listed}");
    habitue(&["user", "remove", &file, "ada"]).output();
    assert_eq!(habitue(&["user", "list", &file]).output(), "");
    let complaint = habitue(&["user", "remove", &file, "ada"]).complaint(1);
    assert!(complaint.contains("does not exist"), "{complaint}");
}

#[test]
fn a_password_comes_from_a_terminal_or_is_said_to_come_from_a_pipe() {
    let place = Place::new();
    let file = text(place.path().join("users.json"));
    let complaint = habitue_reading("correct horse\n", &["user", "add", &file, "ada"]).complaint(1);
    assert!(complaint.contains("--password-stdin"), "{complaint}");
    let short = ["user", "add", &file, "ada", "--password-stdin"];
    let complaint = habitue_reading("1234567\n", &short).complaint(1);
    assert!(complaint.contains("wanted are 8 to 1024"), "{complaint}");
    let odd = ["user", "add", &file, "a b", "--password-stdin"];
    assert!(habitue_reading("correct horse\n", &odd).complaint(1).contains("the name 'a b'"));
}

#[test]
fn a_token_is_shown_once() {
    let place = Place::new();
    let file = text(place.path().join("users.json"));
    let add = ["token", "add", &file, "etl", "--role", "writer"];
    let token = habitue(&add).output();
    assert!(token.starts_with("habitue_"), "{token}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(!kept.contains(token.trim()), "the token itself is not kept");
    assert_eq!(habitue(&["token", "list", &file]).output(), "etl  writer  for ever\n");
    assert!(habitue(&add).complaint(1).contains("exists already"));
    habitue(&["token", "remove", &file, "etl"]).output();
    assert_eq!(habitue(&["token", "list", &file]).output(), "");
}
