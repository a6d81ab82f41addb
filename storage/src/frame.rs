//! The trailer with length and checksum that closes every metadata, index and bitmap object.
//!
//! The payload stands first, so that a JSON payload is a readable first line and a roaring bitmap
//! can be read by any roaring library that ignores what follows. The trailer is one line of text:
//!
//! ```text
//! \n#habitue <kind> <format> <payload bytes, 16 hex> <crc32, 8 hex>\n
//! ```
//!
//! The checksum covers the payload, the kind and the format.

use crate::error::{Error, Result};
use bytes::Bytes;

/// What a framed object is; the word that stands in its trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// One entry of the commit log, JSON.
    Log,
    /// A checkpoint of the log, zstd of JSON.
    Checkpoint,
    /// Namespaces, segment definitions and settings, JSON.
    Catalog,
    /// The index of one data file, see `data_file::index`.
    Index,
    /// A base or a delta of the identity map, see `identity::map`.
    IdentityMap,
    /// A portable roaring bitmap.
    Bitmap,
}

impl FrameKind {
    fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Checkpoint => "checkpoint",
            Self::Catalog => "catalog",
            Self::Index => "index",
            Self::IdentityMap => "identity-map",
            Self::Bitmap => "bitmap",
        }
    }

    /// The newest format of this kind that this build reads and the one that it writes.
    pub fn format(self) -> u32 {
        match self {
            // 3: the data file may have columns of members, see `data_file::members`.
            Self::Index => 3,
            _ => 1,
        }
    }
}

const MARK: &str = "\n#habitue ";
/// The longest trailer that can be: mark, longest word, format, length, checksum, line end.
const TRAILER_BYTES_MAX: usize = 80;

/// Closes a payload with its trailer.
///
/// ```
/// use habitue_storage::frame::{seal, open, FrameKind};
/// let object = seal(FrameKind::Bitmap, b"payload");
/// assert_eq!(&open(FrameKind::Bitmap, "a/path", object.into())?[..], b"payload");
/// # Ok::<(), habitue_storage::Error>(())
/// ```
pub fn seal(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut object = Vec::with_capacity(payload.len() + TRAILER_BYTES_MAX);
    object.extend_from_slice(payload);
    object.extend_from_slice(trailer(kind, kind.format(), payload).as_bytes());
    object
}

fn trailer(kind: FrameKind, format: u32, payload: &[u8]) -> String {
    let checksum = checksum_of(kind, format, payload);
    format!("{MARK}{} {format} {:016x} {checksum:08x}\n", kind.word(), payload.len())
}

/// Checks the trailer and gives back the payload.
///
/// # Errors
/// [`Error::Corrupt`] when the trailer, the kind, the length or the checksum is not right;
/// [`Error::NewerFormat`] when a newer program wrote the object.
pub fn open(kind: FrameKind, path: &str, object: Bytes) -> Result<Bytes> {
    open_as(kind, path, object).map(|(_, payload)| payload)
}

/// The same, with the format that the payload has.
///
/// # Errors
/// Like [`open`].
pub fn open_as(kind: FrameKind, path: &str, mut object: Bytes) -> Result<(u32, Bytes)> {
    let corrupt = |reason: &str| Error::corrupt(path, reason);
    let tail_start = object.len().saturating_sub(TRAILER_BYTES_MAX);
    let tail = object.slice(tail_start..);
    let mark = tail
        .windows(MARK.len())
        .rposition(|window| window == MARK.as_bytes())
        .ok_or_else(|| corrupt("no trailer: the object is cut off or is not of Habitué"))?;
    let text = std::str::from_utf8(&tail[mark + MARK.len()..])
        .map_err(|_| corrupt("trailer is not text"))?;
    let text = text.strip_suffix('\n').ok_or_else(|| corrupt("trailer is cut off"))?;
    let fields: Vec<&str> = text.split(' ').collect();
    let [word, format, length, checksum] = fields[..] else {
        return Err(corrupt("trailer has not four fields"));
    };
    if word != kind.word() {
        return Err(corrupt(&format!("kind is {word:?}, wanted {:?}", kind.word())));
    }
    let format: u32 = format.parse().map_err(|_| corrupt("format is not a number"))?;
    if format > kind.format() {
        return Err(Error::NewerFormat { path: path.into(), format, newest_known: kind.format() });
    }
    let length = u64::from_str_radix(length, 16).map_err(|_| corrupt("length is not a number"))?;
    let checksum =
        u32::from_str_radix(checksum, 16).map_err(|_| corrupt("checksum is not a number"))?;
    object.truncate(tail_start + mark);
    if length != object.len() as u64 {
        return Err(corrupt(&format!("payload has {} bytes, wanted {length}", object.len())));
    }
    if checksum != checksum_of(kind, format, &object) {
        return Err(corrupt("checksum does not match"));
    }
    // A hexadecimal digit in the other case reads the same, but nobody wrote it.
    if tail[mark..] != *trailer(kind, format, &object).as_bytes() {
        return Err(corrupt("trailer is not as it was written"));
    }
    Ok((format, object))
}

fn checksum_of(kind: FrameKind, format: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(kind.word().as_bytes());
    hasher.update(&format.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flip_and_every_cut_of_a_frame_is_found() {
        let sealed = seal(FrameKind::Catalog, b"{\"a\":1}");
        for cut in 0..sealed.len() {
            let object = Bytes::copy_from_slice(&sealed[..cut]);
            assert!(open(FrameKind::Catalog, "p", object).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(FrameKind::Catalog, "p", flipped.into()).is_err(), "flip of bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_kind_is_refused() {
        let sealed = seal(FrameKind::Catalog, b"{}");
        assert!(open(FrameKind::Log, "p", sealed.into()).is_err());
    }

    #[test]
    fn an_empty_payload_is_a_payload() {
        let sealed = seal(FrameKind::Bitmap, b"");
        assert!(open(FrameKind::Bitmap, "p", sealed.into()).unwrap().is_empty());
    }
}
