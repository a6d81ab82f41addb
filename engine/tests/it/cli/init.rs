//! `habitue init`.

use super::{Place, habitue, habitue_reading};

#[test]
fn a_new_database_says_how_customers_are_told_apart() {
    let place = Place::new();
    let said = habitue(&["init", &place.database()]).output();
    let expected = format!(
        "made an empty database. place={}\n  \
         user_id        tier 1, one per customer\n  \
         email          tier 2\n  \
         phone          tier 2\n  \
         anonymous_id   tier 3, shared above 3 user_ids\n  \
         device_id      tier 3, shared above 3 user_ids\n",
        place.database()
    );
    assert_eq!(said, expected);
}

// If this fails, a second `init` may harm a database.
#[test]
fn a_database_is_not_made_over_another() {
    let place = Place::with_events();
    let complaint = habitue(&["init", &place.database()]).complaint(1);
    assert!(complaint.starts_with("error: a database is here already. url="), "{complaint}");
    assert_eq!(place.ask("SELECT count(*) AS n FROM events"), "n\n5\n");
}

// Two users on one device stay two customers under the default rules, and are one when all limits
// are lifted: plain connected components.
#[test]
fn rules_of_namespaces_are_set_at_birth() {
    let events = r#"{"ts":"2026-01-01T00:00:00Z","event":"x","anonymous_id":"d","user_id":"u1"}
{"ts":"2026-01-01T00:00:01Z","event":"x","anonymous_id":"d","user_id":"u2"}
"#;
    let customers = |rules: &[&str]| {
        let place = Place::new();
        let database = place.database();
        let mut arguments = vec!["init", &database];
        for rule in rules {
            arguments.extend(["--namespace", rule]);
        }
        habitue(&arguments).output();
        habitue_reading(events, &["ingest", &database, "-"]).output();
        place.ask("SELECT count(*) AS n FROM customers")
    };
    assert_eq!(customers(&[]), "n\n2\n");
    assert_eq!(customers(&["user_id:unique=false", "anonymous_id:max_degree=none"]), "n\n1\n");
}

#[test]
fn a_wrong_rule_says_what_is_wanted() {
    let place = Place::new();
    let complaint =
        habitue(&["init", &place.database(), "--namespace", "user_id:unique=maybe"]).complaint(2);
    assert!(complaint.contains("wanted is NAME:KEY=VALUE"), "{complaint}");
    assert!(!place.path().join("db").exists());
}
