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

mod rows;

use crate::names::Names;
pub use rows::{Goal, Rest, TouchRows};

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
    /// In the order of time.
    touches: Vec<Touch>,
    /// How many of them are too old for any goal to come.
    expired: usize,
    /// How many of them stand in the order of their names as well.
    sorted: usize,
    /// The goals that wait for the touches at their time, which is `now_ts`.
    goals: Vec<i128>,
    now_ts: i64,
    /// What the touches of one goal weigh, when they do not weigh the same.
    weights: Vec<f64>,
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
            touches: Vec::new(),
            expired: 0,
            sorted: 0,
            goals: Vec::new(),
            now_ts: 0,
            weights: Vec::new(),
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
        (self.expired, self.sorted) = (0, 0);
        self.customer += 1;
    }

    /// The next event of the customer.
    pub fn observe(&mut self, event: TouchEvent) {
        if event.ts != self.now_ts {
            self.settle();
        }
        self.touches.extend(event.touch.map(|name| Touch { ts: event.ts, name }));
        if let Some(amount) = event.goal {
            self.observe_goal(event.ts, amount);
        }
    }

    /// A goal, which waits until time goes on.
    fn observe_goal(&mut self, ts: i64, amount: i128) {
        if ts != self.now_ts {
            self.settle();
            self.now_ts = ts;
        }
        self.goals.push(amount);
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

    /// Shares the goals that wait; all touches up to their time have come, and no later one.
    fn settle(&mut self) {
        if self.goals.is_empty() {
            return;
        }
        self.sort_touches();
        let (now, within) = (self.now_ts, self.rule.within);
        let touches = &self.touches[self.expired..];
        let is_old = |touch: &&Touch| now.saturating_sub(touch.ts) > within;
        self.expired += touches.iter().take_while(is_old).count();
        self.credits.resize(self.names.len(), Credit::default());
        let mut goals = std::mem::take(&mut self.goals);
        goals.drain(..).for_each(|goal| self.share(goal));
        self.goals = goals;
        self.forget_expired();
    }

    /// Puts touches at the same time in the order of their names.
    fn sort_touches(&mut self) {
        let names = &self.names;
        let fresh = &mut self.touches[self.sorted..];
        for same in fresh.chunk_by_mut(|a, b| a.ts == b.ts).filter(|same| same.len() > 1) {
            same.sort_by(|a, b| names.text(a.name).cmp(names.text(b.name)));
        }
        self.sorted = self.touches.len();
    }

    /// So that a customer who never ends does not take more memory than the touches in time.
    fn forget_expired(&mut self) {
        if self.expired > 1024 && self.expired > self.touches.len() / 2 {
            self.touches.drain(..self.expired);
            self.sorted -= self.expired;
            self.expired = 0;
        }
    }

    fn share(&mut self, amount: i128) {
        let customer = self.customer;
        let touches = &self.touches[self.expired..];
        let only = match self.rule.model {
            Model::First => touches.first(),
            Model::Last => touches.last(),
            _ if touches.len() <= 1 => touches.first(),
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
        let small = i64::try_from(amount).ok();
        let small = small.filter(|amount| amount.checked_mul(WHOLE).is_some());
        let part_below = |end: i64| match small {
            // Most amounts are, and are divided much faster.
            Some(amount) => i128::from((amount * end).div_euclid(WHOLE)),
            None => (amount * i128::from(end)).div_euclid(i128::from(WHOLE)),
        };
        let (mut from, mut below) = (0, 0);
        for (touch, &end) in self.touches[self.expired..].iter().zip(&self.ends) {
            let below_end = part_below(end);
            let credit = &mut self.credits[touch.name as usize];
            credit.add(self.customer, end - from, below_end - below);
            (from, below) = (end, below_end);
        }
    }

    /// Where each touch's share of a goal ends; there are at least two touches.
    fn find_ends(&mut self) {
        let touches = &self.touches[self.expired..];
        let count = touches.len();
        self.ends.clear();
        let part = |of_all: i64, place: usize, count: usize| {
            // So many touches that this is too large have no room in memory.
            of_all * place as i64 / count as i64
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
                let newest = touches.last().map_or(0.0, age);
                let weight =
                    |touch: &Touch| (-(age(touch) - newest) / half_life.max(1) as f64).exp2();
                self.weights.clear();
                self.weights.extend(touches.iter().map(weight));
                let all = self.weights.iter().sum::<f64>();
                let mut sum = 0.0;
                for weight in &self.weights {
                    sum += weight;
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
