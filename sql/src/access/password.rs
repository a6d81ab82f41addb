//! Passwords: hashing with argon2id, and what is asked of one.

use crate::access::AccessError;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Shorter ones are guessed.
const LENGTH_MIN: usize = 8;
/// Longer ones are a way to keep the server busy.
const LENGTH_MAX: usize = 1_024;
/// What is compared for users that do not exist, so that they take as long: no password fits it.
pub(super) const MOCK_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                                    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a new password, with a salt of its own.
pub(super) fn hash(password: &str) -> Result<String, AccessError> {
    let letters = password.chars().count();
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&letters) {
        let reason = format!("{letters} letters, wanted are {LENGTH_MIN} to {LENGTH_MAX}");
        return Err(AccessError::invalid("the password", reason));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| AccessError::invalid("the password", error.to_string()))?.to_string())
}

/// Whether the password has this hash. Takes tens of milliseconds of a core.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    let short_enough = password.chars().count() <= LENGTH_MAX;
    short_enough && Argon2::default().verify_password(password.as_bytes(), hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_matches_its_hash() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(matches("correct horse", &hash));
        assert!(!matches("correct house", &hash));
        assert!(!matches("", &hash));
    }

    // If this fails, unknown users are answered faster than known ones.
    #[test]
    fn the_mock_hash_costs_what_a_real_one_does() {
        let hash = hash("correct horse").unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(MOCK_HASH), parameters(&hash));
        let parsed = argon2::password_hash::phc::PasswordHash::new(MOCK_HASH).unwrap();
        assert!(parsed.hash.is_some() && parsed.salt.is_some());
        assert!(!matches("anything", MOCK_HASH));
    }

    #[test]
    fn short_passwords_are_refused() {
        let error = hash("1234567").unwrap_err();
        assert!(error.to_string().contains("wanted are 8 to 1024"), "{error}");
    }
}
