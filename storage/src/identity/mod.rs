//! Who is who: links between identifiers, the rules for them, and the map to customers.

pub mod components;
mod map;
mod stitcher;

pub use map::IdentityMap;
pub use stitcher::{IdentityChanges, Remap, Stitcher};
