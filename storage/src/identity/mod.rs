//! Who is who: links between identifiers, the rules for them, and the map to customers.

mod cache;
pub mod components;
mod joining;
mod link_file;
mod link_table;
mod manual;
mod map;
mod map_file;
mod raw_components;
mod reading;
mod rebuild;
pub mod rules;
mod stitcher;

pub(crate) use cache::IdentityCache;
pub use manual::{NamedIdentifier, Stated, Statement};
pub use map::IdentityMap;
pub use reading::{identifiers_schema, links_with_status_schema};
pub use rebuild::Rebuilt;
pub(crate) use stitcher::LookedUp;
pub use stitcher::{IdentityChanges, Remap, Stitcher};
