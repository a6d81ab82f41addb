//! A quick look at a JSON object: is it one, and what are its members called?
//!
//! Most objects are plain: strings without escapes, numbers, words, a little nesting. Those are
//! scanned here without asking for memory. What is not plain is left to the parser, which also
//! says what is wrong with text that is no object; so both never disagree.

/// Deeper nesting is left to the parser.
const DEPTH_MAX: u32 = 16;

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// A JSON object without members.
    Empty,
    /// A JSON object with members, each of whose names was told.
    Members,
    /// Not plain; the names told so far may not be all.
    Unsure,
}

/// Scans text that should be one JSON object; tells the name of each of its own members.
pub(super) fn scan(text: &str, on_name: impl FnMut(&str)) -> Scan {
    let mut scanner = Scanner { text, at: 0 };
    scanner.object(on_name).unwrap_or(Scan::Unsure)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(&mut self, mut on_name: impl FnMut(&str)) -> Option<Scan> {
        self.skip_space();
        self.take(b'{')?;
        self.skip_space();
        let is_empty = self.peek()? == b'}';
        if is_empty {
            self.at += 1;
        } else {
            self.members(0, &mut on_name)?;
        }
        self.skip_space();
        let found = if is_empty { Scan::Empty } else { Scan::Members };
        (self.at == self.text.len()).then_some(found)
    }

    /// One or more members and the closing brace.
    fn members(&mut self, depth: u32, on_name: &mut dyn FnMut(&str)) -> Option<()> {
        loop {
            self.skip_space();
            let name = self.string()?;
            on_name(name);
            self.skip_space();
            self.take(b':')?;
            self.value(depth)?;
            self.skip_space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// One or more elements and the closing bracket.
    fn elements(&mut self, depth: u32) -> Option<()> {
        loop {
            self.value(depth)?;
            self.skip_space();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            opening @ (b'{' | b'[') if depth < DEPTH_MAX => {
                self.at += 1;
                self.skip_space();
                // In ASCII, a closing bracket stands two places behind its opening one.
                if self.peek()? == opening + 2 {
                    self.at += 1;
                    return Some(());
                }
                match opening {
                    b'{' => self.members(depth + 1, &mut |_| {}),
                    _ => self.elements(depth + 1),
                }
            }
            _ => None,
        }
    }

    /// What stands between two quotes, if nothing in it has to be decoded.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        let start = self.at;
        self.at += length;
        self.take(b'"')?;
        Some(&self.text[start..start + length])
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let before = self.at;
        self.skip_digits();
        (self.at > before).then_some(())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn names(text: &str) -> (Scan, Vec<String>) {
        let mut names = Vec::new();
        let found = scan(text, |name| names.push(name.to_owned()));
        (found, names)
    }

    #[test]
    fn plain_objects_are_scanned_without_the_parser() {
        let text = " {\"os\" : \"ios\",\"n\":-1.5e+7 ,\"in\":{\"a\":[1,{\"b\":null}],\"c\":[]}}\n";
        let (found, names) = names(text);
        assert_eq!((found, names.join(" ").as_str()), (Scan::Members, "os n in"));
        assert_eq!(scan("{ }", |_| {}), Scan::Empty);
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        let cut =
            ["", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":\"x", "{\"a\":[1"];
        let wrong = ["[1]", "{}x", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{a:1}"];
        let odd = ["{\"a\":1e}", "{\"a\":tru}", "{\"a\":[1,]}", "{\"a\":1,}", "{\"\\u0061\":1}"];
        for text in cut.into_iter().chain(wrong).chain(odd) {
            assert_eq!(scan(text, |_| {}), Scan::Unsure, "{text}");
        }
    }

    // If this fails, rows are taken in whose properties no JSON function can read.
    fn agrees_with_the_parser(text: &str) {
        let (found, names) = names(text);
        if found == Scan::Unsure {
            return;
        }
        let parsed: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(parsed.is_empty(), found == Scan::Empty, "{text}");
        assert!(names.iter().all(|name| parsed.contains_key(name)), "{text}");
        assert!(parsed.keys().all(|name| names.contains(name)), "{text}");
    }

    proptest! {
        #[test]
        fn scanned_objects_are_objects(text in r#"[{}\[\]",:0-9eE.+\-a\\ ]{0,24}"#) {
            agrees_with_the_parser(&text);
        }

        #[test]
        fn damaged_objects_are_not_scanned(
            place in 0_usize..60,
            byte in r#"[{}\[\]",:0e.\-t\\ ]"#,
        ) {
            let mut text = r#"{"a":[1,-2.5e3,true],"b":{"c":null,"d":""},"e":"f"}"#.to_owned();
            let place = place.min(text.len() - 1);
            text.replace_range(place..=place, &byte);
            agrees_with_the_parser(&text);
        }
    }
}
