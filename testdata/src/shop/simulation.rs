//! The shop's time line: what happens next, and what of it has arrived.
//!
//! 1. Happenings wait in a queue by time; the earliest is taken.
//! 2. It makes events (some of the next minutes, some of the next hours) and further happenings.
//! 3. Each event goes to the outbox under the time when it arrives.
//! 4. What arrived before the next happening can no longer be overtaken, and is handed out.

use crate::calendar::{DAY, HOUR, MINUTE, SECOND, civil};
use crate::dice::{Dice, scramble};
use crate::lines;
use crate::shop::event::{BadReason, BadRow, Row, ShopEvent};
use crate::shop::goods::CAMPAIGNS;
use crate::shop::options::{Delivery, ShopOptions};
use crate::shop::person::Person;
use std::collections::BTreeMap;

/// How likely each hour of the day is.
const HOURS: [u32; 24] =
    [4, 2, 1, 1, 1, 3, 12, 28, 40, 42, 44, 46, 52, 44, 38, 36, 38, 44, 56, 66, 72, 64, 38, 14];

/// How likely a purchase is in each month, in percent of an ordinary one.
const MONTHS: [u32; 12] = [80, 85, 95, 100, 105, 95, 85, 85, 100, 105, 140, 170];

/// Something that will happen at its time.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// Somebody comes; a regular visit leads to the next one.
    Visit { person: u32, regular: bool, campaign: Option<&'static str> },
    /// Money goes back.
    Refund { person: u32, order_id: String, amount_cents: i64 },
    /// Somebody writes to support.
    Ticket { person: u32, topic: &'static str },
    /// A mailing goes out.
    Mailing { campaign: &'static str },
}

/// A simulated shop: an iterator of the rows that arrive, in the order of arrival.
#[derive(Debug)]
pub struct Shop {
    pub(super) options: ShopOptions,
    pub(super) dice: Dice,
    pub(super) people: Vec<Person>,
    pub(super) orders: u64,
    events: u64,
    queue: BTreeMap<(i64, u64), Happening>,
    outbox: BTreeMap<(i64, u64), Row>,
    placed: u64,
}

impl Shop {
    /// The shop of these options, before its first day.
    pub fn new(options: ShopOptions) -> Self {
        let mut dice = Dice::new(options.seed);
        let people = (0..options.customers).map(|number| Person::new(number, &mut dice)).collect();
        let mut shop = Self {
            options,
            dice,
            people,
            orders: 0,
            events: 0,
            queue: BTreeMap::new(),
            outbox: BTreeMap::new(),
            placed: 0,
        };
        shop.schedule_first_visits();
        shop.schedule_mailings();
        shop
    }

    fn schedule_first_visits(&mut self) {
        for person in 0..self.options.customers {
            // One of eight knew the shop before; the others find it over the year.
            let last_day = if self.dice.chance(125) { 14 } else { self.options.days };
            let day = self.dice.below(last_day.min(self.options.days));
            let at = self.moment_of_day(self.options.start_us + i64::from(day) * DAY);
            self.schedule(at, Happening::Visit { person, regular: true, campaign: None });
        }
    }

    fn schedule_mailings(&mut self) {
        for year in 0..=self.options.days / 365 {
            for campaign in CAMPAIGNS {
                let day = i64::from(year * 365 + campaign.day);
                let at = self.options.start_us + day * DAY + 9 * HOUR;
                self.schedule(at, Happening::Mailing { campaign: campaign.name });
            }
        }
    }

    /// Puts a happening into the queue; what would happen after the last day never does.
    pub(super) fn schedule(&mut self, at: i64, happening: Happening) {
        if at < self.options.start_us + i64::from(self.options.days) * DAY {
            self.placed += 1;
            self.queue.insert((at, self.placed), happening);
        }
    }

    /// A moment of the day that begins at `midnight`, as people like it.
    pub(super) fn moment_of_day(&mut self, midnight: i64) -> i64 {
        let hour = self.dice.weighted(&HOURS) as i64;
        midnight + hour * HOUR + i64::from(self.dice.below(3_600_000)) * (SECOND / 1000)
    }

    /// How eager people are to buy, in percent.
    pub(super) fn season(at: i64) -> u32 {
        let (_, month, _) = civil(at);
        MONTHS[(month - 1) as usize]
    }

    /// What identifiers of this shop are mixed with.
    pub(super) fn salt(&self) -> u64 {
        scramble(self.options.seed)
    }

    /// Gives the event its id and sends it on its way, which `lag_us` delays.
    pub(super) fn send(&mut self, mut event: ShopEvent, lag_us: i64) {
        event.event_id = self.next_event_id();
        let delay = i64::from(self.dice.between(40, 2_000)) * (SECOND / 1000);
        event.received_at_us = event.ts_us + delay + lag_us;
        if self.options.delivery == Delivery::Untidy {
            self.send_untidy(&mut event);
        }
        self.arrive(event.received_at_us, Row::Event(event));
    }

    fn send_untidy(&mut self, event: &mut ShopEvent) {
        if event.channel == "app" && self.dice.chance(60) {
            // The telephone was offline and delivers when it finds a network.
            event.received_at_us += self.dice.waiting(4 * DAY as u64) as i64;
        }
        if self.dice.chance(5) {
            let mut copy = event.clone();
            copy.received_at_us += self.dice.waiting(40 * MINUTE as u64) as i64;
            self.arrive(copy.received_at_us, Row::Duplicate(copy));
        }
        if self.dice.chance(2) {
            let bad = self.broken_copy(event.clone());
            self.arrive(event.received_at_us, Row::Bad(bad));
        }
    }

    fn broken_copy(&mut self, mut event: ShopEvent) -> BadRow {
        event.event_id = self.next_event_id();
        let reasons = [
            BadReason::NoTimestamp,
            BadReason::ImpossibleYear,
            BadReason::BrokenJson,
            BadReason::WrongType,
        ];
        let reason = *self.dice.pick(&reasons);
        BadRow { reason, line: lines::broken(&event, reason) }
    }

    fn next_event_id(&mut self) -> String {
        self.events += 1;
        format!("e-{:016x}", scramble(self.events ^ self.salt()))
    }

    fn arrive(&mut self, at: i64, row: Row) {
        self.placed += 1;
        self.outbox.insert((at, self.placed), row);
    }

    fn happen(&mut self, at: i64, happening: Happening) {
        match happening {
            Happening::Visit { person, regular, campaign } => {
                self.visit(person, at, campaign);
                if regular {
                    self.schedule_next_visit(person, at);
                }
            }
            Happening::Refund { person, order_id, amount_cents } => {
                self.refund(person, at, order_id, amount_cents);
            }
            Happening::Ticket { person, topic } => self.ticket(person, at, topic),
            Happening::Mailing { campaign } => self.mailing(at, campaign),
        }
    }

    fn schedule_next_visit(&mut self, person: u32, at: i64) {
        let temper = self.people[person as usize].temper;
        if self.dice.chance(temper.leave_per_mille) {
            return;
        }
        let days = 1 + self.dice.waiting(temper.gap_days) as i64;
        let midnight = at - at.rem_euclid(DAY) + days * DAY;
        let next = self.moment_of_day(midnight);
        self.schedule(next, Happening::Visit { person, regular: true, campaign: None });
    }
}

impl Iterator for Shop {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let next_happening = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next_arrival = self.outbox.first_key_value().map(|((at, _), _)| *at);
            match (next_happening, next_arrival) {
                (Some(happens), arrives) if arrives.is_none_or(|arrives| happens <= arrives) => {
                    let ((at, _), happening) = self.queue.pop_first()?;
                    self.happen(at, happening);
                }
                _ => return self.outbox.pop_first().map(|(_, row)| row),
            }
        }
    }
}
