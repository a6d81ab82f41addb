//! Who visits the shop: how often they come, what they are called, what they hold in their hands.

use crate::dice::{Dice, scramble};

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Carmen", "Dmitri", "Elif", "Farah", "Georg", "Hana", "Ivo", "Jana", "Kofi",
    "Lena", "Mateo", "Nora", "Oskar", "Priya", "Quentin", "Rosa", "Sven", "Tomoko", "Ugo", "Vera",
    "Wim", "Zoë",
];
const LAST_NAMES: [&str; 20] = [
    "Adler", "Bakker", "Costa", "Dupont", "Ekström", "Fischer", "García", "Horvat", "Ito",
    "Jansen", "Kowalski", "Lindgren", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Silva",
    "Tanaka", "Weber",
];
const CITIES: [&str; 8] =
    ["Berlin", "Ghent", "Lisbon", "Lyon", "Malmö", "Porto", "Vienna", "Zürich"];

/// A temper: numbers of how somebody behaves towards the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Temper {
    /// Mean days from one visit to the next.
    pub gap_days: u64,
    /// Of a thousand visits, how many end in a purchase.
    pub buy_per_mille: u32,
    /// Of a thousand visits, after how many they never come back.
    pub leave_per_mille: u32,
    /// The same after a purchase.
    pub leave_after_purchase_per_mille: u32,
    /// Of a thousand people, how many are like that.
    share_per_mille: u32,
}

const fn temper(
    share_per_mille: u32,
    gap_days: u64,
    buy_per_mille: u32,
    leave_per_mille: u32,
    leave_after_purchase_per_mille: u32,
) -> Temper {
    Temper {
        gap_days,
        buy_per_mille,
        leave_per_mille,
        leave_after_purchase_per_mille,
        share_per_mille,
    }
}

/// Browsers, one-time buyers, occasional, regular and loyal customers.
const TEMPERS: [Temper; 5] = [
    temper(350, 25, 12, 300, 400),
    temper(250, 20, 300, 200, 850),
    temper(220, 22, 250, 60, 80),
    temper(130, 11, 320, 20, 20),
    temper(50, 6, 380, 6, 4),
];

/// What a visit is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The browser on the laptop: a cookie that is lost now and then.
    Laptop,
    /// The telephone: the app for those who installed it, else its browser.
    Telephone,
    /// A tablet; every fifth household shares one between two people.
    Tablet,
    /// The terminal in the shop, used by everybody.
    Terminal,
}

/// How many terminals stand in the shop.
const TERMINALS: u32 = 3;
/// The owner number of the first terminal, far above all people.
const TERMINAL_OWNER: u32 = 0xffff_0000;

/// What the simulation knows of one person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their number, from 0.
    pub number: u32,
    /// How they behave.
    pub temper: Temper,
    /// Whether they have an account.
    pub registered: bool,
    /// Whether they want mailings.
    pub mailings: bool,
    /// How often the laptop's cookie was lost.
    pub lost_cookies: u32,
}

impl Person {
    /// Somebody new.
    pub fn new(number: u32, dice: &mut Dice) -> Self {
        let shares = TEMPERS.map(|temper| temper.share_per_mille);
        Self {
            number,
            temper: TEMPERS[dice.weighted(&shares)],
            registered: false,
            mailings: false,
            lost_cookies: 0,
        }
    }

    /// The account's name.
    pub fn user_id(&self) -> String {
        format!("u{:05}", self.number + 1)
    }

    /// Given and family name.
    pub fn name(&self) -> (&'static str, &'static str) {
        let place = scramble(u64::from(self.number) ^ 0x6e61_6d65);
        let first = FIRST_NAMES[(place % 24) as usize];
        let last = LAST_NAMES[(place / 24 % 20) as usize];
        (first, last)
    }

    /// Where they live.
    pub fn city(&self) -> &'static str {
        CITIES[(scramble(u64::from(self.number) ^ 0x6369_7479) % 8) as usize]
    }

    /// The address, in lower case.
    pub fn email(&self) -> String {
        let (first, last) = self.name();
        let plain = |name: &str| -> String {
            let letters = name.chars().filter(char::is_ascii_alphabetic);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        format!("{}.{}{}@example.com", plain(first), plain(last), self.number + 1)
    }

    /// The telephone number, with its country.
    pub fn phone(&self) -> String {
        format!("+1555{:07}", self.number)
    }

    /// The cookie of a device; a tablet's owner is the first of the household.
    pub fn anonymous_id(&self, device: Device, dice: &mut Dice, salt: u64) -> String {
        let (owner, kind, version) = match device {
            Device::Laptop => (self.number, 0, self.lost_cookies),
            Device::Telephone => (self.number, 1, 0),
            Device::Tablet if self.number % 5 == 2 => (self.number - 1, 2, 0),
            Device::Tablet => (self.number, 2, 0),
            Device::Terminal => (TERMINAL_OWNER + dice.below(TERMINALS), 3, 0),
        };
        let key = u64::from(owner) << 24 | u64::from(version & 0xffff) << 8 | kind;
        format!("a-{:016x}", scramble(key ^ salt))
    }

    /// The installation of the app.
    pub fn device_id(&self, salt: u64) -> String {
        let key = u64::from(self.number) << 24 | 0xff;
        format!("d-{:016x}", scramble(key ^ salt))
    }

    /// Whether they use the app.
    pub fn has_app(&self) -> bool {
        self.number.is_multiple_of(3)
    }
}
