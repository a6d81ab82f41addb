//! The file of users and tokens.
//!
//! ```json
//! { "version": 1,
//!   "secret": "…",
//!   "users":  { "ada":  { "role": "admin",  "argon2": "$argon2id$…", "scram": "SCRAM-SHA-256$…" } },
//!   "tokens": { "etl":  { "role": "writer", "sha256": "…", "expires_at": "2027-01-01T00:00:00Z" } } }
//! ```
//!
//! It holds neither passwords nor tokens, yet it is nobody's business: only its owner may read it.

use crate::access::{AccessError, TokenEntry, UserEntry, token};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The version of the file's form.
const VERSION: u32 = 1;
/// A larger file is no users file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Letters of a name at most.
const NAME_LENGTH_MAX: usize = 63;

/// Users and tokens by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersFile {
    version: u32,
    /// Random; makes answers about users that do not exist look like those about others.
    pub(super) secret: String,
    /// Users with passwords.
    #[serde(default)]
    pub users: BTreeMap<String, UserEntry>,
    /// Tokens of programs.
    #[serde(default)]
    pub tokens: BTreeMap<String, TokenEntry>,
}

impl Default for UsersFile {
    fn default() -> Self {
        let (users, tokens) = (BTreeMap::new(), BTreeMap::new());
        Self { version: VERSION, secret: token::random(), users, tokens }
    }
}

impl UsersFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`AccessError::UsersFile`] when it is missing, damaged, readable by others, or of a later
    /// version.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let refused = |reason: String| AccessError::file(path, reason);
        let metadata = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(refused(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        ensure_private(&metadata).map_err(refused)?;
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let file: Self = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        if file.version != VERSION {
            let reason = format!("its version is {}, wanted is {VERSION}", file.version);
            return Err(refused(reason));
        }
        Ok(file)
    }

    /// Reads the file, or answers an empty one when there is none.
    ///
    /// # Errors
    /// As [`UsersFile::read`].
    pub fn read_or_new(path: &Path) -> Result<Self, AccessError> {
        match path.try_exists() {
            Ok(false) => Ok(Self::default()),
            _ => Self::read(path),
        }
    }

    /// Writes the file at once or not at all; only its owner can read it.
    ///
    /// # Errors
    /// [`AccessError::UsersFile`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AccessError> {
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| replace(path, &text));
        written.map_err(|error| AccessError::file(path, error.to_string()))
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    /// The token with this hash, if it has not ended. Every token is compared, each in constant
    /// time.
    pub(super) fn token_with(&self, hash: &str, now: DateTime<Utc>) -> Option<(&str, &TokenEntry)> {
        let mut found = None;
        for (name, entry) in &self.tokens {
            if bool::from(entry.sha256.as_bytes().ct_eq(hash.as_bytes())) {
                found = Some((name.as_str(), entry));
            }
        }
        found.filter(|(_, entry)| !entry.is_expired(now))
    }

    /// Refuses names that would not survive a log line, a connection string or a certificate.
    ///
    /// # Errors
    /// [`AccessError::Invalid`].
    pub fn ensure_name(name: &str) -> Result<(), AccessError> {
        let plain = |letter: char| letter.is_alphanumeric() || "._-@".contains(letter);
        match (1..=NAME_LENGTH_MAX).contains(&name.chars().count()) && name.chars().all(plain) {
            true => Ok(()),
            false => Err(AccessError::invalid(
                format!("the name '{}'", name.escape_debug()),
                format!("wanted are 1 to {NAME_LENGTH_MAX} letters, digits, '.', '_', '-', '@'"),
            )),
        }
    }
}

/// A new file beside it takes its place once it is on the disk.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = private_file(&new).and_then(|mut file| {
        file.write_all(text)?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&new, path));
    if renamed.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&new);
    }
    renamed
}

#[cfg(unix)]
fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn ensure_private(metadata: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(format!("others may read or write it (mode {mode:o}); run chmod 600 on it")),
    }
}

#[cfg(not(unix))]
fn ensure_private(_metadata: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}

/// Times as RFC 3339 texts.
pub(super) mod time {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::access) fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => {
                serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::access) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text).map_err(Error::custom)?;
        Ok(Some(time.with_timezone(&Utc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{NewToken, Role};
    use chrono::TimeDelta;

    fn example() -> UsersFile {
        let mut file = UsersFile::default();
        let ada = UserEntry::new(Role::Admin, "correct horse", None).unwrap();
        file.users.insert("ada".into(), ada);
        let soon = DateTime::parse_from_rfc3339("2030-01-01T00:00:00Z").unwrap().into();
        let made = NewToken::generate(Role::Writer, Some(soon));
        file.tokens.insert("etl".into(), made.entry);
        file
    }

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        assert!(UsersFile::read_or_new(&path).unwrap().is_empty());
        let file = example();
        file.write(&path).unwrap();
        file.write(&path).unwrap();
        assert_eq!(UsersFile::read(&path).unwrap(), file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
    }

    // If this fails, everybody on the machine can read hashes of passwords.
    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        example().write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let error = UsersFile::read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_or_later_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        let later = UsersFile { version: 2, ..example() };
        later.write(&path).unwrap();
        assert!(UsersFile::read(&path).unwrap_err().to_string().contains("its version is 2"));
        for broken in ["", "{}", r#"{"version":1,"secret":"","users":{},"tokens":{},"x":1}"#] {
            std::fs::write(&path, broken).unwrap();
            assert!(UsersFile::read(&path).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_token_is_found_until_it_ends() {
        let mut file = UsersFile::default();
        let now = Utc::now();
        let made = NewToken::generate(Role::Reader, Some(now + TimeDelta::seconds(10)));
        file.tokens.insert("bi".into(), made.entry);
        let hash = token::hash(&made.token);
        assert_eq!(file.token_with(&hash, now).map(|(name, _)| name), Some("bi"));
        assert!(file.token_with(&hash, now + TimeDelta::seconds(10)).is_none());
        assert!(file.token_with(&token::hash("another"), now).is_none());
    }

    #[test]
    fn names_are_plain() {
        for good in ["ada", "ada@example.com", "etl-1", "Käthe"] {
            UsersFile::ensure_name(good).unwrap();
        }
        for bad in ["", "a b", "a\nb", "a'b", "a/b", &"x".repeat(64)] {
            assert!(UsersFile::ensure_name(bad).is_err(), "{bad}");
        }
    }
}
