//! Who is at the other end of a connection.

use crate::access::Role;

/// What somebody has shown to be who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The server asks nobody.
    NotAsked,
    /// The password of a user.
    Password,
    /// A token of the users file.
    Token,
    /// A client certificate.
    Certificate,
}

/// A user or the holder of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name of the user or of the token.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it has shown.
    pub proof: Proof,
}

impl Principal {
    pub(crate) fn new(name: &str, role: Role, proof: Proof) -> Self {
        Self { name: name.to_owned(), role, proof }
    }
}
