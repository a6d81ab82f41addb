//! Servers. Breaks for a user if this fails: a tool cannot connect, or everybody can.

use super::{Place, command, habitue, habitue_reading, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn nobody_serves_without_saying_who_may_ask() {
    let place = Place::with_database();
    let database = place.database();
    let complaint = habitue(&["serve", &database, "--postgres", "127.0.0.1:0"]).complaint(2);
    assert!(complaint.contains("--users <FILE>"), "{complaint}");
    let file = text(place.path().join("users.json"));
    let serve = ["serve", &database, "--postgres", "127.0.0.1:0", "--users", &file];
    assert!(habitue(&serve).complaint(1).contains("cannot use the users file"));
    let user = ["user", "add", &file, "ada", "--password-stdin"];
    habitue_reading("correct horse\n", &user).output();
    habitue(&["user", "remove", &file, "ada"]).output();
    assert!(habitue(&serve).complaint(1).contains("nobody may connect"));
}

// If this fails, passwords go through the network in the clear, or one option opens everything.
#[test]
fn other_machines_are_not_answered_in_the_clear() {
    let place = Place::with_database();
    let database = place.database();
    let file = text(place.path().join("users.json"));
    habitue_reading("correct horse\n", &["user", "add", &file, "ada", "--password-stdin"]).output();
    for protocol in ["--postgres", "--flight"] {
        let open = ["serve", &database, protocol, "0.0.0.0:0", "--insecure"];
        let complaint = habitue(&open).complaint(1);
        assert!(complaint.contains("--open-to-the-network"), "{complaint}");
        let clear = ["serve", &database, protocol, "0.0.0.0:0", "--users", &file];
        let complaint = habitue(&clear).complaint(1);
        assert!(complaint.contains("without TLS"), "{complaint}");
    }
}

#[test]
fn a_server_says_where_it_listens_and_ends_when_asked() {
    let place = Place::with_database();
    let arguments = ["serve", &place.database(), "--insecure", "--threads", "1"];
    let addresses = ["--flight", "127.0.0.1:0", "--postgres", "127.0.0.1:0"];
    let mut command = command(&[&arguments[..], &addresses[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().starts_with("listening. protocol=flight address=127.0.0.1:"));
    let postgres = line();
    let address = postgres.strip_prefix("listening. protocol=postgres address=").unwrap();
    let address = address.split(' ').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"\0\0\0\x12\0\x03\0\0user\0ada\0\0").unwrap();
    let mut kind = [0];
    stream.read_exact(&mut kind).unwrap();
    assert_eq!(kind, *b"R", "it lets in whoever comes");
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(line().starts_with("ending"));
    assert_eq!(line(), "ended");
    assert!(child.wait().unwrap().success());
}
