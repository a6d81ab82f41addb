//! A visit, from the first page to the purchase, and what may follow one.

use crate::calendar::{DAY, SECOND};
use crate::shop::event::ShopEvent;
use crate::shop::goods::{PRODUCTS, Product, discount_percent};
use crate::shop::person::Device;
use crate::shop::simulation::{Happening, Shop};

const SOURCES: [&str; 5] = ["direct", "search", "social", "affiliate", "referral"];
const SOURCE_WEIGHTS: [u32; 5] = [40, 34, 14, 7, 5];
const TOPICS: [&str; 4] = ["delivery", "return", "product", "account"];

/// A visit in progress.
struct Visit {
    person: u32,
    clock: i64,
    /// What all its events have in common.
    model: ShopEvent,
    logged_in: bool,
}

impl Shop {
    /// Somebody comes, looks at things, and perhaps buys.
    pub(super) fn visit(&mut self, person: u32, at: i64, campaign: Option<&'static str>) {
        let mut visit = self.enter(person, at, campaign);
        self.step(&mut visit, "visit", |_| {});
        let eager = self.people[person as usize].temper.buy_per_mille * Shop::season(at) / 100;
        let boost = if campaign.is_some() { 2 } else { 1 };
        let buys = self.dice.chance(eager * boost);
        let cart = self.browse(&mut visit, buys);
        if cart.is_empty() {
            return;
        }
        if buys || self.dice.chance(300) {
            self.step(&mut visit, "checkout", |event| {
                event.quantity = Some(cart.len() as u32);
            });
        }
        if buys {
            self.buy(&mut visit, &cart);
        }
    }

    fn enter(&mut self, person: u32, at: i64, campaign: Option<&'static str>) -> Visit {
        let devices = [Device::Laptop, Device::Telephone, Device::Tablet, Device::Terminal];
        let device = devices[self.dice.weighted(&[450, 430, 105, 15])];
        if device == Device::Laptop && self.dice.chance(25) {
            self.people[person as usize].lost_cookies += 1;
        }
        let salt = self.salt();
        let somebody = &self.people[person as usize];
        let in_app = device == Device::Telephone && somebody.registered && somebody.has_app();
        let mut model = ShopEvent {
            channel: match device {
                Device::Terminal => "store",
                _ if in_app => "app",
                _ => "web",
            },
            anonymous_id: Some(somebody.anonymous_id(device, &mut self.dice, salt)),
            device_id: in_app.then(|| somebody.device_id(salt)),
            campaign,
            person,
            ..ShopEvent::default()
        };
        let logged_in = somebody.registered && self.dice.chance(650);
        let opened_letter = campaign.is_some() && somebody.registered;
        if opened_letter {
            // The link in the letter says whose letter it was.
            model.email = Some(somebody.email());
        }
        if logged_in {
            model.user_id = Some(somebody.user_id());
        } else if in_app && self.dice.chance(60) {
            // A faulty release of the app writes this for those who are not logged in.
            model.user_id = Some("null".into());
        }
        model.source = Some(match campaign {
            Some(_) => "newsletter",
            None => SOURCES[self.dice.weighted(&SOURCE_WEIGHTS)],
        });
        Visit { person, clock: at, model, logged_in }
    }

    /// One event of the visit; the clock then moves on.
    fn step(&mut self, visit: &mut Visit, name: &'static str, fill: impl FnOnce(&mut ShopEvent)) {
        let mut event = ShopEvent { event: name, ts_us: visit.clock, ..visit.model.clone() };
        fill(&mut event);
        self.send(event, 0);
        visit.clock += i64::from(self.dice.between(4, 140)) * SECOND;
    }

    /// Looks at products; answers those that went into the cart.
    fn browse(&mut self, visit: &mut Visit, buys: bool) -> Vec<Product> {
        let views = 1 + self.dice.waiting(2).min(9);
        let weights = PRODUCTS.map(|product| product.weight);
        let mut cart = Vec::new();
        for view in 0..views {
            let product = PRODUCTS[self.dice.weighted(&weights)];
            self.step(visit, "product_view", |event| about(event, product));
            let must_choose = buys && cart.is_empty() && view + 1 == views;
            if must_choose || self.dice.chance(if buys { 450 } else { 110 }) {
                cart.push(product);
                self.step(visit, "add_to_cart", |event| {
                    about(event, product);
                    event.quantity = Some(1);
                });
            }
        }
        cart
    }

    fn buy(&mut self, visit: &mut Visit, cart: &[Product]) {
        self.become_known(visit);
        self.orders += 1;
        let order_id = format!("o-{:07}", self.orders);
        let full: i64 = cart.iter().map(|product| product.price_cents).sum();
        let amount_cents = full * (100 - discount_percent(visit.model.campaign)) / 100;
        let items: Vec<_> = cart.iter().map(|product| format!("\"{}\"", product.id)).collect();
        let properties = format!("{{\"items\":[{}]}}", items.join(","));
        self.step(visit, "purchase", |event| {
            event.amount_cents = Some(amount_cents);
            event.currency = Some("EUR");
            event.order_id = Some(order_id.clone());
            event.product_id = (cart.len() == 1).then(|| cart[0].id);
            event.quantity = Some(cart.len() as u32);
            event.properties = Some(properties);
        });
        self.after_purchase(visit, &order_id, amount_cents, cart);
    }

    /// Before paying, people log in, sign up, or type their address.
    fn become_known(&mut self, visit: &mut Visit) {
        if visit.logged_in {
            return;
        }
        let registered = self.people[visit.person as usize].registered;
        let somebody = &mut self.people[visit.person as usize];
        let (user_id, email, phone) = (somebody.user_id(), somebody.email(), somebody.phone());
        if registered {
            visit.model.user_id = Some(user_id);
            self.step(visit, "login", |_| {});
        } else if self.dice.chance(720) {
            self.sign_up(visit);
        } else {
            let typed = if self.dice.chance(200) { email.to_uppercase() + " " } else { email };
            visit.model.email = Some(typed);
            visit.model.phone = self.dice.chance(300).then_some(phone);
            visit.model.user_id = None;
        }
    }

    fn sign_up(&mut self, visit: &mut Visit) {
        let mailings = self.dice.chance(700);
        let somebody = &mut self.people[visit.person as usize];
        somebody.registered = true;
        somebody.mailings = mailings;
        let (email, city, (first, last)) = (somebody.email(), somebody.city(), somebody.name());
        visit.model.user_id = Some(somebody.user_id());
        let traits = format!(
            "{{\"first_name\":\"{first}\",\"last_name\":\"{last}\",\"city\":\"{city}\",\
             \"mailings\":{mailings}}}"
        );
        self.step(visit, "sign_up", |_| {});
        self.step(visit, "$identify", |event| {
            event.email = Some(email);
            event.properties = Some(traits);
        });
    }

    fn after_purchase(&mut self, visit: &Visit, order: &str, amount_cents: i64, cart: &[Product]) {
        let person = visit.person;
        let temper = self.people[person as usize].temper;
        if self.dice.chance(temper.leave_after_purchase_per_mille) {
            // They have what they wanted: no regular visit follows this one.
            self.people[person as usize].temper.leave_per_mille = 1000;
        }
        if self.dice.chance(60) {
            let part = if self.dice.chance(600) { amount_cents } else { cart[0].price_cents };
            let at = visit.clock + i64::from(self.dice.between(2, 20)) * DAY;
            let refund = Happening::Refund {
                person,
                order_id: order.to_owned(),
                amount_cents: part.min(amount_cents),
            };
            self.schedule(at, refund);
        }
        if self.dice.chance(40) {
            let topic = *self.dice.pick(&TOPICS);
            let at = visit.clock + i64::from(self.dice.between(1, 9)) * DAY;
            self.schedule(at, Happening::Ticket { person, topic });
        }
    }

    /// Money goes back to the customer.
    pub(super) fn refund(&mut self, person: u32, at: i64, order_id: String, amount_cents: i64) {
        let event = ShopEvent {
            ts_us: at,
            event: "refund",
            channel: "support",
            amount_cents: Some(-amount_cents),
            currency: Some("EUR"),
            order_id: Some(order_id),
            ..self.known_as(person)
        };
        self.send(event, 0);
    }

    /// Somebody writes or calls.
    pub(super) fn ticket(&mut self, person: u32, at: i64, topic: &'static str) {
        let stars = self.dice.between(1, 5);
        let phone = self.people[person as usize].phone();
        let event = ShopEvent {
            ts_us: at,
            event: "support_ticket",
            channel: "support",
            phone: self.dice.chance(250).then_some(phone),
            properties: Some(format!("{{\"topic\":\"{topic}\",\"stars\":{stars}}}")),
            ..self.known_as(person)
        };
        self.send(event, 0);
    }

    /// How the office knows somebody: by account and address, or by address only.
    fn known_as(&self, person: u32) -> ShopEvent {
        let somebody = &self.people[person as usize];
        ShopEvent {
            user_id: somebody.registered.then(|| somebody.user_id()),
            email: Some(somebody.email()),
            person,
            ..ShopEvent::default()
        }
    }
}

fn about(event: &mut ShopEvent, product: Product) {
    event.product_id = Some(product.id);
    event.properties = Some(format!(
        "{{\"name\":\"{}\",\"category\":\"{}\",\"price\":{}.{:02}}}",
        product.name,
        product.category,
        product.price_cents / 100,
        product.price_cents % 100
    ));
}
