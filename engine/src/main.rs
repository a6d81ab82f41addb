//! The habitue command.
fn main() {}
