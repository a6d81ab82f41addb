//! Tests of the shares.

use super::*;

const DAY: i64 = 86_400;

/// What each name gets: shares in thousandths, and amount.
fn credits(model: Model, within: i64, events: &[(i64, &str, Option<i128>)]) -> Vec<String> {
    let mut attribution = Attribution::new(AttributionRule { model, within });
    attribution.begin_customer();
    for &(ts, touch, goal) in events {
        let touch = (!touch.is_empty()).then(|| attribution.names().number(touch));
        attribution.observe(TouchEvent { ts, touch, goal });
    }
    let credits = attribution.finish().into_iter();
    let mut credits = credits
        .map(|(name, credit)| {
            let name = name.unwrap_or_else(|| "nobody".into());
            format!("{name} {} {}", credit.shares * 1000 / i128::from(WHOLE), credit.amount)
        })
        .collect::<Vec<_>>();
    credits.sort();
    credits
}

const WAY: [(i64, &str, Option<i128>); 5] = [
    (0, "mail", None),
    (DAY, "ads", None),
    (2 * DAY, "search", None),
    (3 * DAY, "ads", None),
    (4 * DAY, "", Some(100)),
];

#[test]
fn each_model_shares_in_its_own_way() {
    let all = |model| credits(model, 30 * DAY, &WAY);
    assert_eq!(all(Model::First), ["mail 1000 100"]);
    assert_eq!(all(Model::Last), ["ads 1000 100"]);
    assert_eq!(all(Model::Linear), ["ads 500 50", "mail 250 25", "search 250 25"]);
    assert_eq!(all(Model::Position), ["ads 500 50", "mail 400 40", "search 100 10"]);
    let decay = all(Model::TimeDecay { half_life: DAY });
    // Weights 1, 2, 4 and 8 of 15.
    assert_eq!(decay, ["ads 666 68", "mail 66 6", "search 266 26"]);
}

#[test]
fn a_touch_as_old_as_the_window_counts_and_an_older_one_does_not() {
    let within = |days| credits(Model::First, days * DAY, &WAY);
    assert_eq!(within(4), ["mail 1000 100"]);
    assert_eq!(within(3), ["ads 1000 100"]);
    assert_eq!(within(0), ["nobody 1000 100"]);
}

#[test]
fn what_happens_at_the_time_of_the_goal_is_before_it() {
    let events = [(5, "", Some(7)), (5, "b", None), (5, "a", Some(1))];
    assert_eq!(credits(Model::Last, 9, &events), ["b 1000 8".replace("1000", "2000")]);
    assert_eq!(credits(Model::First, 9, &events), ["a 2000 8"]);
}

#[test]
fn the_parts_of_an_amount_add_up_to_it_also_below_zero() {
    for amount in [100, 1, -1, -100, 7] {
        let events = [(0, "a", None), (1, "b", None), (2, "c", None), (3, "", Some(amount))];
        let credits = credits(Model::Linear, 9, &events);
        let amounts = credits.iter().map(|line| line.rsplit(' ').next().unwrap());
        let total = amounts.map(|amount| amount.parse::<i128>().unwrap()).sum::<i128>();
        assert_eq!(total, amount);
    }
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(credits(Model::Linear, 9, &[]), [""; 0]);
    assert_eq!(credits(Model::Linear, 9, &[(1, "a", None)]), [""; 0]);
}
