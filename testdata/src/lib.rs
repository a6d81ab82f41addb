//! The same customer events for every test: a seeded generator of a shop's year, and golden files.
//!
//! A small coffee and tea shop is simulated event by event: people come anonymously, sign up, log
//! in on several devices, share tablets, buy, return things, write to support and answer
//! campaigns. The delivery of the events is as untidy as in life: late, doubled and broken rows.
//!
//! The same [`ShopOptions`] give the same bytes for ever. Only whole numbers and the ChaCha stream
//! decide, no floating point and no sampling code of other crates.
//!
//! ```
//! use habitue_testdata::{Row, Shop, ShopOptions};
//! let options = ShopOptions { customers: 20, days: 60, ..ShopOptions::default() };
//! let purchases = Shop::new(options)
//!     .filter(|row| matches!(row, Row::Event(event) if event.event == "purchase"))
//!     .count();
//! assert!(purchases > 0);
//! ```

pub mod batches;
pub mod calendar;
pub mod dice;
pub mod lines;
pub mod shop;
pub mod truth;

pub use batches::batches;
pub use lines::lines;
pub use shop::event::{BadReason, BadRow, Row, ShopEvent};
pub use shop::options::{Delivery, ShopOptions};
pub use shop::simulation::Shop;
pub use truth::{Tally, Truth};
