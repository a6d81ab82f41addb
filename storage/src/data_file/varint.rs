//! LEB128 numbers, read from bytes that may be hostile.

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

/// Reads numbers one after the other. Its errors are plain words, so that a number that is sound comes
/// in a register.
pub(super) struct ReadNumber<'a> {
    bytes: &'a [u8],
}

impl<'a> ReadNumber<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many numbers there may be at most.
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn next_u64(&mut self) -> Result<u64, &'static str> {
        match self.bytes.split_first() {
            // Nearly all are as short as this.
            Some((&byte, rest)) if byte < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(byte))
            }
            _ => self.next_long(),
        }
    }

    fn next_long(&mut self) -> Result<u64, &'static str> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or("is cut off")?;
            self.bytes = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is longer than 64 bits")
    }

    #[inline]
    pub(super) fn next_u32(&mut self) -> Result<u32, &'static str> {
        let number = self.next_u64()?;
        u32::try_from(number).map_err(|_| "a number does not fit 32 bits")
    }

    /// A difference of two 32-bit numbers.
    pub(super) fn next_signed(&mut self) -> Result<i64, &'static str> {
        let coded = self.next_u64()?;
        let number = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        if number.unsigned_abs() > u64::from(u32::MAX) {
            return Err("a difference does not fit 32 bits");
        }
        Ok(number)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }
}
