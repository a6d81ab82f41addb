//! The rules of an identifier namespace, as `habitue init --namespace` takes them.

use habitue_storage::catalog::{Catalog, Namespace, Normalise};
use habitue_storage::event::{CUSTOMER_ID, file_schema};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A namespace and what is to be different about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceRule {
    name: String,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Tier(u8),
    Unique(bool),
    MaxPerCustomer(Option<u32>),
    MaxDegree(BTreeMap<String, u32>),
    Normalise(Vec<Normalise>),
    Blocked(Vec<String>),
}

const WANTED: &str = "wanted is NAME:KEY=VALUE,… with the keys tier=1…9, unique=true|false, \
    max_per_customer=N|none, max_degree=none|OTHER/N+…, normalise=none|trim+lowercase+phone, \
    blocked=VALUE+…";

impl FromStr for NamespaceRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, changes) = text.split_once(':').unwrap_or((text, ""));
        check_name(name)?;
        let changes = changes.split(',').filter(|change| !change.trim().is_empty());
        let changes = changes.map(|change| change.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), changes })
    }
}

/// A namespace is a column of `events`, and must not be one that is there already.
fn check_name(name: &str) -> Result<(), String> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(letters) || name.starts_with(char::is_numeric) {
        return Err(format!("'{name}' is no name of a namespace: a-z, 0-9 and _ make one"));
    }
    if name == CUSTOMER_ID || file_schema([]).field_with_name(name).is_ok() {
        return Err(format!("'{name}' is a column of events already"));
    }
    Ok(())
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("cannot read '{text}'; {WANTED}");
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let is_none = value == "none";
        match key.trim() {
            "tier" => match value.parse() {
                Ok(tier @ 1..=9) => Ok(Self::Tier(tier)),
                _ => Err(wrong()),
            },
            "unique" => value.parse().map(Self::Unique).map_err(|_| wrong()),
            "max_per_customer" if is_none => Ok(Self::MaxPerCustomer(None)),
            "max_per_customer" => {
                value.parse().map(|limit| Self::MaxPerCustomer(Some(limit))).map_err(|_| wrong())
            }
            "max_degree" if is_none => Ok(Self::MaxDegree(BTreeMap::new())),
            "max_degree" => degrees(value).map(Self::MaxDegree).ok_or_else(wrong),
            "normalise" if is_none => Ok(Self::Normalise(Vec::new())),
            "normalise" => normalise(value).map(Self::Normalise).ok_or_else(wrong),
            "blocked" => Ok(Self::Blocked(value.split('+').map(str::to_owned).collect())),
            _ => Err(wrong()),
        }
    }
}

fn degrees(value: &str) -> Option<BTreeMap<String, u32>> {
    let limits = value.split('+').map(|limit| {
        let (other, limit) = limit.split_once('/')?;
        Some((other.to_owned(), limit.parse().ok()?))
    });
    limits.collect()
}

fn normalise(value: &str) -> Option<Vec<Normalise>> {
    let steps = value.split('+').map(|step| match step {
        "trim" => Some(Normalise::Trim),
        "lowercase" => Some(Normalise::Lowercase),
        "phone" => Some(Normalise::Phone),
        _ => None,
    });
    steps.collect()
}

impl NamespaceRule {
    /// Changes the namespace of this name, or adds it behind the others.
    pub(crate) fn apply(&self, catalog: &mut Catalog) {
        let known = catalog.namespaces.iter().position(|namespace| namespace.name == self.name);
        let place = known.unwrap_or(catalog.namespaces.len());
        if known.is_none() {
            catalog.namespaces.push(Namespace {
                name: self.name.clone(),
                tier: 2,
                unique: false,
                max_per_customer: None,
                max_degree: BTreeMap::new(),
                normalise: vec![Normalise::Trim],
                blocked: Vec::new(),
            });
        }
        for change in &self.changes {
            change.apply(&mut catalog.namespaces[place]);
        }
    }
}

impl Change {
    fn apply(&self, namespace: &mut Namespace) {
        match self {
            Self::Tier(tier) => namespace.tier = *tier,
            Self::Unique(unique) => namespace.unique = *unique,
            Self::MaxPerCustomer(limit) => namespace.max_per_customer = *limit,
            Self::MaxDegree(limits) => namespace.max_degree.clone_from(limits),
            Self::Normalise(steps) => namespace.normalise.clone_from(steps),
            Self::Blocked(values) => namespace.blocked.clone_from(values),
        }
    }
}

/// What a namespace's limits name must exist, or the limit would silently never hold.
pub(crate) fn check_references(catalog: &Catalog) -> Result<(), String> {
    for namespace in &catalog.namespaces {
        for other in namespace.max_degree.keys() {
            if catalog.namespace_number(other).is_none() {
                return Err(format!(
                    "max_degree of '{}' names '{other}', which is no namespace",
                    namespace.name
                ));
            }
        }
    }
    Ok(())
}

/// A namespace's rules in few words.
pub(crate) fn described(namespace: &Namespace) -> String {
    let mut rules = vec![format!("tier {}", namespace.tier)];
    if namespace.unique {
        rules.push("one per customer".into());
    }
    if let Some(limit) = namespace.max_per_customer {
        rules.push(format!("at most {limit} per customer"));
    }
    for (other, limit) in &namespace.max_degree {
        rules.push(format!("shared above {limit} {other}s"));
    }
    rules.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog_with(rules: &[&str]) -> Result<Catalog, String> {
        let mut catalog = Catalog::default();
        for rule in rules {
            rule.parse::<NamespaceRule>()?.apply(&mut catalog);
        }
        check_references(&catalog)?;
        Ok(catalog)
    }

    // If this fails, plain connected components cannot be had.
    #[test]
    fn all_limits_can_be_lifted() {
        let rules =
            ["user_id:unique=false", "anonymous_id:max_degree=none", "device_id:max_degree=none"];
        let catalog = catalog_with(&rules).unwrap();
        assert!(catalog.namespaces.iter().all(|n| !n.unique && n.max_degree.is_empty()));
        assert_eq!(catalog.namespaces.len(), 5);
    }

    #[test]
    fn a_new_namespace_has_the_stated_rules() {
        let rule = "loyalty_card:tier=1,max_per_customer=2,normalise=trim+lowercase,\
            max_degree=user_id/4,blocked=0000+none";
        let catalog = catalog_with(&[rule]).unwrap();
        let added = catalog.namespaces.last().unwrap();
        assert_eq!((added.name.as_str(), added.tier), ("loyalty_card", 1));
        assert_eq!(added.max_per_customer, Some(2));
        assert_eq!(added.max_degree["user_id"], 4);
        assert_eq!(added.normalise, [Normalise::Trim, Normalise::Lowercase]);
        assert_eq!(added.blocked, ["0000", "none"]);
        assert_eq!(described(added), "tier 1, at most 2 per customer, shared above 4 user_ids");
    }

    #[test]
    fn a_wrong_rule_says_what_is_wanted() {
        let wrong = [
            ("amount:tier=1", "a column of events already"),
            ("customer_id", "a column of events already"),
            ("Upper", "a-z"),
            ("user_id:unique", "unique=true|false"),
            ("user_id:unique=maybe", "unique=true|false"),
            ("user_id:tier=12", "tier=1…9"),
            ("user_id:colour=red", "wanted is NAME:KEY=VALUE"),
            ("device_id:max_degree=nobody/3", "no namespace"),
        ];
        for (rule, words) in wrong {
            let error = catalog_with(&[rule]).unwrap_err();
            assert!(error.contains(words), "{rule}: {error}");
        }
    }
}
