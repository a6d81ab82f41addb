//! A mailing: sent to all who asked for it, opened by some, answered by fewer.

use crate::calendar::{DAY, HOUR, MINUTE, SECOND};
use crate::shop::event::ShopEvent;
use crate::shop::simulation::{Happening, Shop};

impl Shop {
    /// Sends one campaign and lets people react to it within days.
    pub(super) fn mailing(&mut self, at: i64, campaign: &'static str) {
        for person in 0..self.options.customers {
            let somebody = &self.people[person as usize];
            if !somebody.mailings {
                continue;
            }
            let letter = ShopEvent {
                event: "email_sent",
                channel: "email",
                campaign: Some(campaign),
                email: Some(somebody.email()),
                ts_us: at + i64::from(self.dice.below(1_800)) * SECOND,
                person,
                ..ShopEvent::default()
            };
            let opened = self.dice.chance(320);
            if opened {
                self.open_letter(&letter, campaign);
            }
            self.send(letter, 0);
        }
    }

    fn open_letter(&mut self, letter: &ShopEvent, campaign: &'static str) {
        let wait = self.dice.waiting(9 * HOUR as u64).min(3 * DAY as u64) as i64;
        let opened_at = letter.ts_us + MINUTE + wait;
        let open = ShopEvent { event: "email_open", ts_us: opened_at, ..letter.clone() };
        self.send(open, 0);
        if self.dice.chance(240) {
            let clicked_at = opened_at + i64::from(self.dice.between(5, 90)) * SECOND;
            let click = ShopEvent { event: "email_click", ts_us: clicked_at, ..letter.clone() };
            self.send(click, 0);
            let visit = Happening::Visit {
                person: letter.person,
                regular: false,
                campaign: Some(campaign),
            };
            self.schedule(clicked_at + SECOND, visit);
        }
    }
}
