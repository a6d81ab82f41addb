//! Names that the server gives to what it keeps for a client: random, so that no one can guess one.

use std::fmt;
use tonic::Status;

/// 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Handle([u8; 16]);

impl Handle {
    /// One that nobody has.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// The handle that a client sent.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Status> {
        let bytes = bytes.try_into().map_err(|_| Status::not_found("this handle is unknown"))?;
        Ok(Self(bytes))
    }

    /// The handle as a client spells it in a header.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    /// As bytes for a client to send back.
    pub(super) fn to_bytes(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Handle {
    /// Whoever reads a log must not be able to use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_survives_both_spellings() {
        let handle = Handle::random();
        assert_eq!(Handle::from_text(&handle.to_string()), Some(handle));
        assert_eq!(Handle::from_bytes(&handle.to_bytes()).unwrap(), handle);
        assert_ne!(Handle::random(), handle);
    }

    #[test]
    fn other_bytes_are_no_handle() {
        assert!(Handle::from_bytes(b"short").is_err());
        assert!(Handle::from_text("+0000000000000000000000000000001").is_none());
    }
}
