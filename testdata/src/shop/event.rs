//! One event of the shop, as a plain struct, and the rows in which it arrives.

/// An event, with the fields that the database knows. Money is in cents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShopEvent {
    /// Different for every event; equal for the copies of one.
    pub event_id: String,
    /// When it happened, µs since the epoch.
    pub ts_us: i64,
    /// When it arrived, µs since the epoch; never before it happened.
    pub received_at_us: i64,
    /// What happened: `visit`, `product_view`, `purchase`, …
    pub event: &'static str,
    /// `web`, `app`, `store`, `email` or `support`.
    pub channel: &'static str,
    /// Where the visit came from.
    pub source: Option<&'static str>,
    /// The campaign that brought it.
    pub campaign: Option<&'static str>,
    /// The account, when logged in.
    pub user_id: Option<String>,
    /// The e-mail address, as typed.
    pub email: Option<String>,
    /// The telephone number, as typed.
    pub phone: Option<String>,
    /// The browser's cookie.
    pub anonymous_id: Option<String>,
    /// The app's installation.
    pub device_id: Option<String>,
    /// Money in cents; refunds are negative.
    pub amount_cents: Option<i64>,
    /// Always `EUR` where there is an amount.
    pub currency: Option<&'static str>,
    /// The order, for checkouts that went through and their refunds.
    pub order_id: Option<String>,
    /// The product, where the event is about one.
    pub product_id: Option<&'static str>,
    /// Pieces.
    pub quantity: Option<u32>,
    /// A JSON object as text.
    pub properties: Option<String>,
    /// The truth: the number of the person who did it. Never part of what the database gets.
    pub person: u32,
}

impl ShopEvent {
    /// The identifiers that it carries, as namespace and value, as typed.
    pub fn identifiers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("user_id", &self.user_id),
            ("email", &self.email),
            ("phone", &self.phone),
            ("anonymous_id", &self.anonymous_id),
            ("device_id", &self.device_id),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Why a broken row cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadReason {
    /// It has no `ts`.
    NoTimestamp,
    /// Its `ts` lies in the year 20250.
    ImpossibleYear,
    /// It breaks off in the middle.
    BrokenJson,
    /// Its `amount` is a word.
    WrongType,
}

/// A row that no database should accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// What is wrong with it.
    pub reason: BadReason,
    /// The line, without its end.
    pub line: String,
}

/// One row of the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// An event for the first time.
    Event(ShopEvent),
    /// The same event once more.
    Duplicate(ShopEvent),
    /// A broken row.
    Bad(BadRow),
}

impl Row {
    /// The event, whether new or repeated.
    pub fn event(self) -> Option<ShopEvent> {
        match self {
            Self::Event(event) | Self::Duplicate(event) => Some(event),
            Self::Bad(_) => None,
        }
    }
}
