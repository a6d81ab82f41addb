//! How large the shop is, when it opens, and how tidily its events arrive.

/// 1 January 2025, midnight UTC.
const NEW_YEAR_2025_US: i64 = 1_735_689_600_000_000;

/// How the shop's events reach the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once each, within seconds.
    Tidy,
    /// As in life: some late by days, some twice, some rows broken.
    Untidy,
}

/// What decides a simulated shop; equal options give equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopOptions {
    /// How many people ever visit it.
    pub customers: u32,
    /// For how many days it is open.
    pub days: u32,
    /// The seed of all chance.
    pub seed: u64,
    /// The first midnight, µs since the epoch.
    pub start_us: i64,
    /// How its events arrive.
    pub delivery: Delivery,
}

impl Default for ShopOptions {
    /// A thousand people, the year 2025, untidy delivery.
    fn default() -> Self {
        Self {
            customers: 1_000,
            days: 365,
            seed: 1,
            start_us: NEW_YEAR_2025_US,
            delivery: Delivery::Untidy,
        }
    }
}
