//! What the shop sells, and the campaigns that it runs.

/// Something to buy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its number in the shop.
    pub id: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// The shelf that it stands on.
    pub category: &'static str,
    /// What it costs.
    pub price_cents: i64,
    /// How often people look at it, in comparison with the others.
    pub weight: u32,
}

const fn product(
    id: &'static str,
    name: &'static str,
    category: &'static str,
    price_cents: i64,
    weight: u32,
) -> Product {
    Product { id, name, category, price_cents, weight }
}

/// Everything on the shelves.
pub const PRODUCTS: [Product; 24] = [
    product("p-101", "House Espresso 1 kg", "coffee", 2_190, 90),
    product("p-102", "Morning Filter 500 g", "coffee", 1_290, 80),
    product("p-103", "Yirgacheffe 250 g", "coffee", 1_150, 60),
    product("p-104", "Huila 250 g", "coffee", 990, 55),
    product("p-105", "Decaf 250 g", "coffee", 1_050, 25),
    product("p-106", "Sampler, 4 x 100 g", "coffee", 1_890, 40),
    product("p-201", "Assam 100 g", "tea", 790, 35),
    product("p-202", "Sencha 100 g", "tea", 1_190, 30),
    product("p-203", "Earl Grey 100 g", "tea", 850, 40),
    product("p-204", "Rooibos 100 g", "tea", 690, 20),
    product("p-205", "Matcha 30 g", "tea", 2_490, 22),
    product("p-301", "Paper filters, 100", "brewing", 590, 50),
    product("p-302", "Pour-over dripper", "brewing", 2_690, 28),
    product("p-303", "French press 1 l", "brewing", 3_490, 20),
    product("p-304", "Moka pot", "brewing", 3_990, 18),
    product("p-305", "Gooseneck kettle", "brewing", 6_990, 12),
    product("p-306", "Hand grinder", "brewing", 8_900, 14),
    product("p-307", "Burr grinder, electric", "brewing", 18_900, 8),
    product("p-308", "Espresso machine", "brewing", 64_900, 4),
    product("p-401", "Mug, stoneware", "tableware", 1_490, 30),
    product("p-402", "Espresso cups, set of 4", "tableware", 2_890, 16),
    product("p-403", "Travel mug", "tableware", 2_450, 24),
    product("p-501", "Almond biscotti 200 g", "treats", 650, 38),
    product("p-502", "Gift card", "gifts", 2_500, 10),
];

/// A mailing to everybody who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its name.
    pub name: &'static str,
    /// The day of the shop's year on which it is sent, from 0.
    pub day: u32,
    /// What it takes off the price, in percent.
    pub discount_percent: i64,
}

const fn campaign(name: &'static str, day: u32, discount_percent: i64) -> Campaign {
    Campaign { name, day, discount_percent }
}

/// The mailings of one year; the next year repeats them.
pub const CAMPAIGNS: [Campaign; 12] = [
    campaign("new-harvest", 20, 0),
    campaign("newsletter", 48, 0),
    campaign("spring-cleaning", 79, 10),
    campaign("newsletter", 108, 0),
    campaign("mothers-day", 128, 0),
    campaign("iced-coffee", 160, 15),
    campaign("newsletter", 192, 0),
    campaign("back-to-work", 240, 10),
    campaign("newsletter", 276, 0),
    campaign("black-friday", 331, 25),
    campaign("advent", 338, 0),
    campaign("last-minute-gifts", 349, 10),
];

/// What a campaign takes off, in percent; 0 for what is no campaign.
pub fn discount_percent(campaign: Option<&str>) -> i64 {
    let known = CAMPAIGNS.iter().find(|known| Some(known.name) == campaign);
    known.map_or(0, |known| known.discount_percent)
}
