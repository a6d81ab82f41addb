//! Attribution: which touches led to a goal, and what share of it each of them gets.
//!
//! A goal is an event such as a purchase; a touch is an event that carries the name of a campaign
//! or channel. Every goal is shared among the touches of its customer at most `within` before it,
//! by the weights of a [`Model`]. A touch at the time of the goal, also the goal's own event, is
//! before it. Touches at the same time stand in the order of their names. A goal without a touch
//! belongs to nobody: the name is `None`.
//!
//! Shares are whole billionths, and amounts are split in their own smallest unit, so that the parts
//! of a goal add up to it exactly and no answer depends on the order in which parts are added.

use std::collections::VecDeque;

use crate::names::Names;

/// One goal, in the units of its shares.
pub const WHOLE: i64 = 1_000_000_000;

/// How the touches of a goal share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub enum Model {
    /// The first one has it all.
    First,
    /// The last one has it all.
    Last,
    /// All have the same share.
    Linear,
    /// 40 % each for the first and the last, the rest for those between them.
    Position,
    /// The share halves with each half-life that lies between touch and goal.
    TimeDecay {
        /// In the steps of the times; more than 0.
        half_life: i64,
    },
}

/// Which touches count for a goal, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct AttributionRule {
    /// How they share it.
    pub model: Model,
    /// How long before the goal they may lie.
    pub within: i64,
}

/// What an event means for attribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TouchEvent {
    /// When; of one customer never before the one that came before.
    pub ts: i64,
    /// The touch that it is, by its number among [`Attribution::names`].
    pub touch: Option<u32>,
    /// The amount, if it is a goal.
    pub goal: Option<i128>,
}

/// What one name, or nobody, gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// Shares of goals, in units of 1/[`WHOLE`].
    pub shares: i128,
    /// Shares of their amounts.
    pub amount: i128,
    /// How many customers it has a share of.
    pub customers: u64,
    last_customer: u32,
}

impl Credit {
    fn add(&mut self, customer: u32, share: i64, amount: i128) {
        self.shares += i128::from(share);
        self.amount += amount;
        self.customers += u64::from(self.last_customer != customer);
        self.last_customer = customer;
    }
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    ts: i64,
    name: u32,
}

/// Shares goals among touches while events come customer by customer.
#[derive(Debug)]
pub struct Attribution {
    rule: AttributionRule,
    names: Names,
    credits: Vec<Credit>,
    nobody: Credit,
    customer: u32,
    touches: VecDeque<Touch>,
    /// Touches and goals at the time of the newest event.
    now: Vec<Touch>,
    goals: Vec<i128>,
    now_ts: i64,
    /// Where the shares of one goal end, in billionths; by touch.
    ends: Vec<i64>,
}

impl Attribution {
    /// No events yet.
    pub fn new(rule: AttributionRule) -> Self {
        Self {
            rule,
            names: Names::default(),
            credits: Vec::new(),
            nobody: Credit::default(),
            customer: 0,
            touches: VecDeque::new(),
            now: Vec::new(),
            goals: Vec::new(),
            now_ts: 0,
            ends: Vec::new(),
        }
    }

    /// The names of touches.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// What follows belongs to another customer.
    pub fn begin_customer(&mut self) {
        self.settle();
        self.touches.clear();
        self.customer += 1;
    }

    /// The next event of the customer.
    pub fn observe(&mut self, event: TouchEvent) {
        if event.ts != self.now_ts {
            self.settle();
            self.now_ts = event.ts;
        }
        self.now.extend(event.touch.map(|name| Touch { ts: event.ts, name }));
        self.goals.extend(event.goal);
    }

    /// What each name gets, and `None` what belongs to nobody. No event can follow.
    pub fn finish(mut self) -> Vec<(Option<String>, Credit)> {
        self.settle();
        let names = &self.names;
        let named = self.credits.iter().enumerate();
        let named = named.map(|(name, &credit)| (Some(names.text(name as u32).to_owned()), credit));
        let all = named.chain([(None, self.nobody)]);
        all.filter(|(_, credit)| credit.customers > 0).collect()
    }

    /// About how many bytes are held.
    pub fn size(&self) -> usize {
        self.names.size()
            + self.credits.capacity() * size_of::<Credit>()
            + self.touches.capacity() * size_of::<Touch>()
    }

    /// Takes what happened at one time: first the touches, then the goals.
    fn settle(&mut self) {
        if self.now.len() > 1 {
            let names = &self.names;
            self.now.sort_by(|a, b| names.text(a.name).cmp(names.text(b.name)));
        }
        match self.now.len() {
            0 => {}
            // Mostly nothing else happens at the same time.
            1 => self.touches.extend(self.now.pop()),
            _ => self.touches.extend(self.now.drain(..)),
        }
        if self.goals.is_empty() {
            return;
        }
        let (now, within) = (self.now_ts, self.rule.within);
        while self.touches.front().is_some_and(|first| now.saturating_sub(first.ts) > within) {
            self.touches.pop_front();
        }
        self.credits.resize(self.names.len(), Credit::default());
        for goal in std::mem::take(&mut self.goals) {
            self.share(goal);
        }
    }

    fn share(&mut self, amount: i128) {
        let customer = self.customer;
        let only = match self.rule.model {
            Model::First => self.touches.front(),
            Model::Last => self.touches.back(),
            _ if self.touches.len() <= 1 => self.touches.front(),
            _ => {
                self.share_among_all(amount);
                return;
            }
        };
        match only {
            Some(touch) => self.credits[touch.name as usize].add(customer, WHOLE, amount),
            None => self.nobody.add(customer, WHOLE, amount),
        }
    }

    fn share_among_all(&mut self, amount: i128) {
        self.find_ends();
        // What lies between two ends is a touch's own: so the parts add up to the whole.
        let part_below = |end: i64| (amount * i128::from(end)).div_euclid(i128::from(WHOLE));
        let mut from = 0;
        for (touch, &end) in self.touches.iter().zip(&self.ends) {
            let part = part_below(end) - part_below(from);
            self.credits[touch.name as usize].add(self.customer, end - from, part);
            from = end;
        }
    }

    /// Where each touch's share of a goal ends; there are at least two touches.
    fn find_ends(&mut self) {
        let count = self.touches.len();
        self.ends.clear();
        let part = |of_all: i64, place: usize, count: usize| {
            (i128::from(of_all) * place as i128 / count as i128) as i64
        };
        match self.rule.model {
            Model::Position if count > 2 => {
                let outer = WHOLE / 5 * 2;
                let inner = WHOLE - 2 * outer;
                let middle = |place| outer + part(inner, place, count - 2);
                self.ends.extend((0..count - 1).map(middle));
                self.ends.push(WHOLE);
            }
            Model::TimeDecay { half_life } => {
                let age = |touch: &Touch| self.now_ts.saturating_sub(touch.ts) as f64;
                let newest = self.touches.back().map_or(0.0, age);
                let weight =
                    |touch: &Touch| (-(age(touch) - newest) / half_life.max(1) as f64).exp2();
                let all = self.touches.iter().map(weight).sum::<f64>();
                let mut sum = 0.0;
                for touch in &self.touches {
                    sum += weight(touch);
                    self.ends.push(((sum / all * WHOLE as f64).round() as i64).min(WHOLE));
                }
                if let Some(last) = self.ends.last_mut() {
                    *last = WHOLE;
                }
            }
            _ => self.ends.extend((1..=count).map(|place| part(WHOLE, place, count))),
        }
    }
}

#[cfg(test)]
mod tests;
