//! The dictionary of identifiers: from a value to its 32-bit number.

mod compact_table;
mod normalise;

pub use normalise::ValueRules;
