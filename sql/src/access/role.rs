//! What a user or a token may do.

use crate::session::{LocalFiles, Rights};
use crate::statements::Effect;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What somebody may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Asks questions, and makes temporary tables for them.
    Reader,
    /// Takes in events, makes and refreshes segments.
    Writer,
    /// Changes who is who.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Writer, Self::Admin];

    /// What its statements may do. Files of the server are for administrators, where the server
    /// was started with leave for them.
    pub fn rights(self, local_files: LocalFiles) -> Rights {
        const READER: &[Effect] = &[Effect::Read, Effect::Session];
        const WRITER: &[Effect] =
            &[Effect::Read, Effect::Session, Effect::InsertEvents, Effect::ChangeSegments];
        const ADMIN: &[Effect] = &[
            Effect::Read,
            Effect::Session,
            Effect::InsertEvents,
            Effect::ChangeSegments,
            Effect::ChangeIdentities,
        ];
        match (self, local_files) {
            (Self::Reader, _) => Rights::of(READER),
            (Self::Writer, _) => Rights::of(WRITER),
            (Self::Admin, LocalFiles::Refused) => Rights::of(ADMIN),
            (Self::Admin, LocalFiles::Allowed) => Rights::all(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| "wanted is reader, writer or admin".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, somebody who may only read changes the database.
    #[test]
    fn each_role_may_do_more_than_the_one_before() {
        let may = |role: Role| {
            let rights = role.rights(LocalFiles::Refused);
            Effect::ALL.iter().filter(|effect| rights.allow(**effect)).count()
        };
        assert_eq!(Role::ALL.map(may), [2, 4, 5]);
        assert!(!Role::Reader.rights(LocalFiles::Allowed).allow(Effect::Files));
        assert!(Role::Admin.rights(LocalFiles::Allowed).allow(Effect::Files));
    }
}
