//! Texts with few distinct values, by number.

use std::collections::HashMap;
use std::sync::Arc;

/// Gives texts numbers from 0, in the order in which they are first asked for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Names {
    /// Stands in a list of numbers where there is no text; no text has it.
    pub const NONE: u32 = u32::MAX;

    /// The number of a text.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The text of a number that was given.
    pub fn text(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    /// How many texts have a number.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no text has a number.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// About how many bytes are held.
    pub fn size(&self) -> usize {
        self.texts.iter().map(|text| text.len() + 64).sum()
    }
}
