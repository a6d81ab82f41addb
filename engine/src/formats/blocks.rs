//! Cuts a stream of bytes into blocks that end at a line end.

use super::{OVERLONG_KEPT_BYTES, RECORD_BYTES_MAX, Reject};
use std::io::{self, Read};

/// Blocks have about this size: large enough to amortise a task, small enough for many in flight.
pub(super) const BLOCK_BYTES_TARGET: usize = 4 << 20;

/// Whole lines of the input.
#[derive(Debug, Default)]
pub(super) struct LineBlock {
    /// The number of the first line, from 1.
    pub first_line: u64,
    /// The lines with their ends; the last line of the input may lack its end.
    pub text: Vec<u8>,
    /// A line in front of them that was too long to keep.
    pub overlong: Option<Reject>,
}

/// Reads [`LineBlock`]s until the input ends.
pub(super) struct LineBlocks<R> {
    reader: R,
    /// The beginning of a line whose end has not been read.
    rest: Vec<u8>,
    next_line: u64,
    ended: bool,
    block_bytes: usize,
    line_bytes_max: usize,
}

impl<R: Read> LineBlocks<R> {
    /// Reads from the beginning of the input.
    pub fn new(reader: R) -> Self {
        Self::with_sizes(reader, BLOCK_BYTES_TARGET, RECORD_BYTES_MAX)
    }

    fn with_sizes(reader: R, block_bytes: usize, line_bytes_max: usize) -> Self {
        Self { reader, rest: Vec::new(), next_line: 1, ended: false, block_bytes, line_bytes_max }
    }

    /// The next lines, `None` at the end of the input.
    pub fn next_block(&mut self) -> io::Result<Option<LineBlock>> {
        let mut text = std::mem::take(&mut self.rest);
        let mut wanted = self.block_bytes;
        loop {
            self.fill(&mut text, wanted)?;
            if self.ended {
                return Ok((!text.is_empty()).then(|| self.block(text)));
            }
            if let Some(end) = text.iter().rposition(|byte| *byte == b'\n') {
                self.rest = text.split_off(end + 1);
                return Ok(Some(self.block(text)));
            }
            if text.len() > self.line_bytes_max {
                return self.skip_overlong(text).map(Some);
            }
            wanted = text.len() + self.block_bytes;
        }
    }

    /// Reads until `text` has `wanted` bytes or the input ends.
    fn fill(&mut self, text: &mut Vec<u8>, wanted: usize) -> io::Result<()> {
        let missing = wanted.saturating_sub(text.len());
        text.reserve_exact(missing);
        let read = self.reader.by_ref().take(missing as u64).read_to_end(text)?;
        self.ended = read < missing;
        Ok(())
    }

    fn block(&mut self, text: Vec<u8>) -> LineBlock {
        let first_line = self.next_line;
        self.next_line += text.iter().filter(|byte| **byte == b'\n').count() as u64;
        LineBlock { first_line, text, overlong: None }
    }

    /// Drops the rest of a line that is too long; `head` is what was read of it.
    fn skip_overlong(&mut self, mut head: Vec<u8>) -> io::Result<LineBlock> {
        let mut bytes = head.len();
        head.truncate(OVERLONG_KEPT_BYTES);
        let mut chunk = Vec::new();
        while !self.ended {
            chunk.clear();
            self.fill(&mut chunk, self.block_bytes)?;
            if let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
                bytes += end;
                self.rest = chunk.split_off(end + 1);
                break;
            }
            bytes += chunk.len();
        }
        // What follows must be given before the end is told, even when all of it is read.
        self.ended = false;
        let row = self.next_line;
        self.next_line += 1;
        let overlong = Reject {
            row,
            reason: format!("the line has {bytes} bytes, at most {} are read", self.line_bytes_max),
            raw: String::from_utf8_lossy(&head).into_owned(),
        };
        Ok(LineBlock { first_line: self.next_line, text: Vec::new(), overlong: Some(overlong) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(input: &[u8], block: usize, line: usize) -> Vec<LineBlock> {
        let mut blocks = LineBlocks::with_sizes(input, block, line);
        std::iter::from_fn(|| blocks.next_block().unwrap()).collect()
    }

    #[test]
    fn blocks_put_together_are_the_input() {
        let input = b"one\ntwo\n\nfour is longer\nfive\nsix";
        for size in 1..40 {
            let blocks = read_all(input, size, 100);
            let whole: Vec<u8> = blocks.iter().flat_map(|block| block.text.clone()).collect();
            assert_eq!(whole, input, "block size {size}");
            let mut line = 1;
            for block in blocks {
                assert_eq!(block.first_line, line, "block size {size}");
                line += block.text.iter().filter(|byte| **byte == b'\n').count() as u64;
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_rejected_and_the_next_is_read() {
        for size in 1..16 {
            let input = [b"ab\n".as_slice(), &[b'x'; 50], b"\ncd\nef"].concat();
            let blocks = read_all(&input, size, 16);
            let rejects: Vec<_> = blocks.iter().filter_map(|b| b.overlong.clone()).collect();
            assert_eq!(rejects.len(), 1, "block size {size}");
            assert_eq!(rejects[0].row, 2);
            assert_eq!(rejects[0].reason, "the line has 50 bytes, at most 16 are read");
            let whole: Vec<u8> = blocks.iter().flat_map(|block| block.text.clone()).collect();
            assert_eq!(whole, b"ab\ncd\nef", "block size {size}");
            let last = blocks.iter().rfind(|block| !block.text.is_empty()).unwrap();
            let lines = last.text.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(last.first_line + lines, 4, "block size {size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_and_has_no_end_is_rejected() {
        let blocks = read_all(&[b'x'; 50], 8, 16);
        assert_eq!(blocks.len(), 1);
        assert!(blocks[0].overlong.is_some());
    }
}
