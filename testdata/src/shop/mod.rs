//! The simulated shop: its goods, its people and what happens between them.

pub mod event;
pub mod goods;
mod mail;
pub mod options;
pub mod person;
pub mod simulation;
mod visit;
