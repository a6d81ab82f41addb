//! LEB128 numbers, read from a stream that may be hostile.

use std::io::{Bytes, Read};

/// Appends a number, seven bits a byte, the low ones first.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a signed number; small ones of either sign are short.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// Reads numbers one after the other.
pub(super) struct ReadNumber<R: Read> {
    bytes: Bytes<std::io::BufReader<R>>,
}

impl<R: Read> ReadNumber<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { bytes: std::io::BufReader::new(reader).bytes() }
    }

    fn next_u64(&mut self) -> Result<u64, String> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes.next().ok_or("is cut off")?.map_err(|error| error.to_string())?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is longer than 64 bits".into())
    }

    pub(super) fn next_u32(&mut self) -> Result<u32, String> {
        let number = self.next_u64()?;
        u32::try_from(number).map_err(|_| format!("number {number} does not fit 32 bits"))
    }

    /// A difference of two 32-bit numbers.
    pub(super) fn next_signed(&mut self) -> Result<i64, String> {
        let coded = self.next_u64()?;
        let number = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        if number.unsigned_abs() > u64::from(u32::MAX) {
            return Err(format!("difference {number} does not fit 32 bits"));
        }
        Ok(number)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.bytes.next().is_none()
    }
}
