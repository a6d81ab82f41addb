//! Bases and deltas of the identity map, as bytes.
//!
//! ```text
//! u32 kind         0 base, 1 delta; all numbers little-endian
//! u32 identifiers  that the map covers from here on
//! u32 entries      base: = identifiers; delta: identifiers whose customer changes
//! zstd of          delta only: entries × u32, the identifiers, each less the one before
//!                  entries × u32, identifier less customer
//! ```
//!
//! A delta is applied after the map is filled up to `identifiers` with customers of their own.

use crate::error::{Error, Result};

const BASE: u32 = 0;
const DELTA: u32 = 1;
const HEADER_BYTES: usize = 12;
const NUMBER_BYTES: usize = size_of::<u32>();
const ZSTD_LEVEL: i32 = 1;

/// The whole map as bytes.
pub(crate) fn encode_base(customers: &[u32]) -> Result<Vec<u8>> {
    let identifiers = customers.len() as u32;
    let body = (0..identifiers).zip(customers).map(|(identifier, customer)| identifier - customer);
    encode(BASE, identifiers, identifiers, body)
}

/// Changes of the map, by ascending identifier, as bytes.
pub(crate) fn encode_delta(identifiers: u32, moved: &[(u32, u32)]) -> Result<Vec<u8>> {
    let mut before = 0;
    let gaps = moved.iter().map(|(identifier, _)| {
        let gap = identifier - before;
        before = *identifier;
        gap
    });
    let customers = moved.iter().map(|(identifier, customer)| identifier - customer);
    let body: Vec<u32> = gaps.chain(customers).collect();
    encode(DELTA, identifiers, moved.len() as u32, body.into_iter())
}

fn encode(
    kind: u32,
    identifiers: u32,
    entries: u32,
    body: impl Iterator<Item = u32>,
) -> Result<Vec<u8>> {
    let body: Vec<u8> = body.flat_map(u32::to_le_bytes).collect();
    let packed = zstd::bulk::compress(&body, ZSTD_LEVEL)
        .map_err(|error| Error::Internal(format!("zstd cannot compress: {error}")))?;
    let header = [kind, identifiers, entries].into_iter().flat_map(u32::to_le_bytes);
    Ok(header.chain(packed).collect())
}

/// What a base or a delta says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MapFile {
    /// The customer of each identifier.
    Base(Vec<u32>),
    /// Identifiers with their new customers.
    Delta {
        /// How many identifiers the map covers from here on.
        identifiers: u32,
        /// By ascending identifier.
        moved: Vec<(u32, u32)>,
    },
}

/// Reads a base or a delta that covers at most `identifiers_max` identifiers; whatever the bytes
/// say, it takes no more memory than that many need.
pub(crate) fn decode(path: &str, payload: &[u8], identifiers_max: u32) -> Result<MapFile> {
    let damaged = |reason: &str| Error::corrupt(path, reason);
    let (header, packed) =
        payload.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged("header is cut off"))?;
    let header: Vec<u32> = numbers_in(header).collect();
    let (kind, identifiers, entries) = (header[0], header[1], header[2]);
    if identifiers > identifiers_max || entries > identifiers {
        return Err(damaged("it covers more identifiers than there are"));
    }
    let columns = match kind {
        BASE if entries == identifiers => 1,
        DELTA => 2,
        _ => return Err(damaged("kind is unknown")),
    };
    let body_bytes = entries as usize * columns * NUMBER_BYTES;
    let body = zstd::bulk::decompress(packed, body_bytes)
        .map_err(|error| damaged(&format!("body cannot be unpacked: {error}")))?;
    if body.len() != body_bytes {
        return Err(damaged("body is cut off"));
    }
    if kind == BASE {
        let mut customers = Vec::with_capacity(identifiers as usize);
        for (identifier, less) in (0..identifiers).zip(numbers_in(&body)) {
            let customer = identifier.checked_sub(less);
            customers.push(customer.ok_or_else(|| damaged("a customer has no number"))?);
        }
        return Ok(MapFile::Base(customers));
    }
    let body: Vec<u32> = numbers_in(&body).collect();
    let (gaps, less) = body.split_at(entries as usize);
    let mut identifier = 0_u32;
    let mut moved = Vec::with_capacity(entries as usize);
    for (place, (gap, less)) in gaps.iter().zip(less).enumerate() {
        identifier = identifier.saturating_add(*gap);
        let customer = identifier.checked_sub(*less);
        match customer {
            Some(customer) if identifier < identifiers && (*gap > 0 || place == 0) => {
                moved.push((identifier, customer));
            }
            _ => return Err(damaged("a change is out of range or out of order")),
        }
    }
    Ok(MapFile::Delta { identifiers, moved })
}

fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|number| u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back_as_they_were() {
        for customers in [vec![], vec![0], vec![0, 0, 2, 1, 2]] {
            let bytes = encode_base(&customers).unwrap();
            let identifiers = customers.len() as u32;
            assert_eq!(decode("p", &bytes, identifiers).unwrap(), MapFile::Base(customers));
        }
        for moved in [vec![], vec![(0, 0)], vec![(3, 0), (4, 4), (900, 3)]] {
            let bytes = encode_delta(1000, &moved).unwrap();
            let expected = MapFile::Delta { identifiers: 1000, moved };
            assert_eq!(decode("p", &bytes, 1000).unwrap(), expected);
        }
    }

    #[test]
    fn damaged_maps_are_errors_and_never_panics() {
        let base = encode_base(&[0, 0, 2, 1, 2]).unwrap();
        let delta = encode_delta(9, &[(3, 0), (8, 3)]).unwrap();
        for bytes in [base, delta] {
            for cut in 0..bytes.len() {
                assert!(decode("p", &bytes[..cut], 9).is_err(), "cut at {cut}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // A flip inside the body may be another map: the frame around it finds that.
                let _ = decode("p", &flipped, 9);
            }
            assert!(decode("p", &bytes, 2).is_err());
        }
    }
}
