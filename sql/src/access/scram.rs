//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the client proves to know the password without sending it.
//!
//! What is kept of a password here is what Postgres keeps: `SCRAM-SHA-256$iterations:salt$
//! StoredKey:ServerKey`. Whoever steals it can neither log in nor read the password.

use crate::access::AccessError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// The scheme of the verifier, and the mechanism on the wire.
const SCHEME: &str = "SCRAM-SHA-256";
/// What Postgres uses; clients compute it at each log-in.
const ITERATIONS: u32 = 4_096;
/// Bytes of a salt.
const SALT_BYTES: usize = 16;
/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

type Hash = [u8; HASH_BYTES];

/// What is kept of a password to check who claims to know it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Hash,
    server_key: Hash,
}

impl ScramVerifier {
    /// The verifier of a password, with a new salt.
    pub(super) fn of_password(password: &str) -> Self {
        let salt: [u8; SALT_BYTES] = rand::random();
        Self::derive(password, &salt, ITERATIONS)
    }

    /// A verifier for a user that does not exist: always the same for the same name, so that it
    /// cannot be told from a real one. No password fits it.
    pub(super) fn mock(secret: &str, user: &str) -> Self {
        let salt = keyed(secret.as_bytes(), user.as_bytes());
        let key = keyed(secret.as_bytes(), &salt);
        let salt = salt[..SALT_BYTES].to_vec();
        Self { iterations: ITERATIONS, salt, stored_key: key, server_key: key }
    }

    fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        // Clients that cannot normalise a password send it as it is, and so does Postgres.
        let normal = stringprep::saslprep(password).unwrap_or(Cow::Borrowed(password));
        let mut salted = Hash::default();
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, salt, normal.as_bytes(), &mut salted);
        let stored_key = sha256(&keyed(&salted, b"Client Key"));
        let server_key = keyed(&salted, b"Server Key");
        Self { iterations, salt: salt.to_vec(), stored_key, server_key }
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let (salt, stored) = (encode(&self.salt), encode(&self.stored_key));
        let server = encode(&self.server_key);
        write!(f, "{SCHEME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for ScramVerifier {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let parts = text.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix('$'));
        let parsed = parts.and_then(|rest| {
            let (derivation, keys) = rest.split_once('$')?;
            let (iterations, salt) = derivation.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            let key = |text| Hash::try_from(BASE64_STANDARD.decode(text).ok()?).ok();
            Some(Self {
                iterations: iterations.parse().ok().filter(|rounds| *rounds > 0)?,
                salt: BASE64_STANDARD.decode(salt).ok()?,
                stored_key: key(stored)?,
                server_key: key(server)?,
            })
        });
        let wanted = "wanted is SCRAM-SHA-256$iterations:salt$key:key";
        parsed.ok_or_else(|| AccessError::invalid("the SCRAM verifier", wanted))
    }
}

/// The first message of a client, understood.
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "Postgres speaks it"))]
#[derive(Debug)]
pub(crate) struct ScramClientFirst {
    /// What says whether the client can bind to the TLS channel.
    header: String,
    bare: String,
    nonce: String,
}

#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "Postgres speaks it"))]
impl ScramClientFirst {
    /// Reads `n,,n=user,r=nonce`. The user's name in it is ignored, as Postgres does: the one of
    /// the start-up message counts.
    pub(crate) fn parse(message: &str) -> Result<Self, AccessError> {
        let malformed = || AccessError::Malformed("client-first-message");
        let mut parts = message.splitn(3, ',');
        let (binding, identity) = (parts.next(), parts.next());
        let bare = parts.next().ok_or_else(malformed)?;
        let (Some(binding @ ("n" | "y")), Some(identity)) = (binding, identity) else {
            return Err(malformed());
        };
        let nonce = bare.split(',').find_map(|part| part.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or_else(malformed)?;
        if bare.starts_with("m=") {
            return Err(AccessError::Malformed("mandatory extension of SCRAM"));
        }
        let header = format!("{binding},{identity},");
        Ok(Self { header, bare: bare.to_owned(), nonce: nonce.to_owned() })
    }

    /// Answers it with a challenge; the server's part of the nonce is random and never used again.
    pub(crate) fn challenge(self, verifier: ScramVerifier, server_nonce: &str) -> ScramExchange {
        let nonce = format!("{}{server_nonce}", self.nonce);
        let salt = BASE64_STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        ScramExchange { verifier, client: self, nonce, server_first }
    }
}

/// An exchange that waits for the client's proof.
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "Postgres speaks it"))]
pub(crate) struct ScramExchange {
    verifier: ScramVerifier,
    client: ScramClientFirst,
    nonce: String,
    server_first: String,
}

#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "Postgres speaks it"))]
impl ScramExchange {
    /// The challenge for the client.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks the client's proof; answers what proves the server.
    pub(crate) fn finish(&self, client_final: &str) -> Result<String, AccessError> {
        let malformed = || AccessError::Malformed("client-final-message");
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or_else(malformed)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c="));
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        if binding != Some(&BASE64_STANDARD.encode(&self.client.header)) {
            return Err(AccessError::Malformed("channel binding"));
        }
        if nonce != Some(&self.nonce) {
            return Err(AccessError::Refused);
        }
        let proof = BASE64_STANDARD.decode(proof).ok().and_then(|proof| Hash::try_from(proof).ok());
        let proof = proof.ok_or_else(malformed)?;
        let message = format!("{},{},{without_proof}", self.client.bare, self.server_first);
        let signature = keyed(&self.verifier.stored_key, message.as_bytes());
        let mut client_key = proof;
        for (byte, of_signature) in client_key.iter_mut().zip(signature) {
            *byte ^= of_signature;
        }
        if !bool::from(sha256(&client_key).ct_eq(&self.verifier.stored_key)) {
            return Err(AccessError::Refused);
        }
        let proof_of_server = keyed(&self.verifier.server_key, message.as_bytes());
        Ok(format!("v={}", BASE64_STANDARD.encode(proof_of_server)))
    }
}

fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// HMAC-SHA-256.
fn keyed(key: &[u8], message: &[u8]) -> Hash {
    let mut hash = Hash::default();
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    hash.copy_from_slice(signed.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange that RFC 7677 prints: user `user`, password `pencil`.
    fn printed_exchange(password: &str) -> ScramExchange {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::derive(password, &salt, 4_096);
        let first = ScramClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        first.challenge(verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    }

    const PRINTED_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_exchange_of_the_standard_comes_out_as_printed() {
        let exchange = printed_exchange("pencil");
        let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(exchange.server_first(), expected);
        let answer = exchange.finish(PRINTED_FINAL).unwrap();
        assert_eq!(answer, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    // If this fails, any password opens the database.
    #[test]
    fn another_password_or_a_replayed_nonce_is_refused() {
        assert!(printed_exchange("pencils").finish(PRINTED_FINAL).is_err());
        let mut later = printed_exchange("pencil");
        later.nonce.push('x');
        assert!(later.finish(PRINTED_FINAL).is_err());
        let bound = PRINTED_FINAL.replace("c=biws", "c=eSws");
        assert!(printed_exchange("pencil").finish(&bound).is_err());
        for broken in ["", "c=biws", "c=biws,r=x,p=", "c=biws,r=x,p=!!"] {
            assert!(printed_exchange("pencil").finish(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_verifier_is_read_back_from_its_text() {
        let verifier = ScramVerifier::of_password("correct horse");
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:"), "{text}");
        assert!(text.parse::<ScramVerifier>().is_ok_and(|read| read == verifier));
        for broken in ["", "SCRAM-SHA-256$0:AA==$AA==:AA==", "md5abc"] {
            assert!(broken.parse::<ScramVerifier>().is_err(), "{broken}");
        }
    }

    #[test]
    fn unknown_users_always_have_the_same_salt() {
        let salt = |user: &str| ScramVerifier::mock("secret", user).salt;
        assert_eq!(salt("nobody"), salt("nobody"));
        assert_ne!(salt("nobody"), salt("noone"));
        assert_eq!(salt("nobody").len(), SALT_BYTES);
    }
}
