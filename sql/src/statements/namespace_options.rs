//! The rules of an identifier namespace, as statements write them.

use crate::error::{Error, Named, Result};
use crate::statements::words::Words;
use datafusion::sql::sqlparser::tokenizer::Token;
use habitue_storage::catalog::{Namespace, Normalise};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceOption {
    Tier(u8),
    Unique(bool),
    MaxPerCustomer(Option<u32>),
    /// The most distinct values of this namespace.
    MaxDegree(String, u32),
    Normalise(Vec<Normalise>),
    Blocked(Vec<String>),
}

const KNOWN: [&str; 6] =
    ["tier", "unique", "max_per_customer", "max_degree", "normalise", "blocked"];

/// ```text
/// (tier = 1..255, unique = true|false, max_per_customer = n|none, max_degree = 'user_id 3, …',
///  normalise = 'trim, lowercase, phone', blocked = 'value, …')
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Vec<NamespaceOption>> {
    words.sign(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        parse_option(words, &mut options)?;
        if !words.parser().consume_token(&Token::Comma) {
            break;
        }
    }
    words.sign(&Token::RParen)?;
    Ok(options)
}

fn parse_option(words: &mut Words<'_>, options: &mut Vec<NamespaceOption>) -> Result<()> {
    let name = words.name("a rule of the namespace")?;
    words.sign(&Token::Eq)?;
    match name.as_str() {
        "tier" => options.push(NamespaceOption::Tier(small(words, "a tier from 1 to 255")?)),
        "unique" => options.push(NamespaceOption::Unique(truth(words)?)),
        "max_per_customer" => options.push(NamespaceOption::MaxPerCustomer(limit(words)?)),
        "max_degree" => options.extend(degrees(words)?),
        "normalise" => options.push(NamespaceOption::Normalise(steps(words)?)),
        "blocked" => {
            let values = words.text("the blocked values as a text, parted by commas")?;
            options.push(NamespaceOption::Blocked(parts(&values)));
        }
        _ => return Err(Error::unknown(Named::Setting, name, KNOWN)),
    }
    Ok(())
}

fn small(words: &mut Words<'_>, what: &str) -> Result<u8> {
    let number = words.number(what)?;
    let small = u8::try_from(number).ok().filter(|number| *number > 0);
    small.ok_or_else(|| Error::invalid("tier", format!("{number} came, {what} is wanted")))
}

fn truth(words: &mut Words<'_>) -> Result<bool> {
    match (words.take(&["true"]), words.take(&["false"])) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(words.expected("true or false")),
    }
}

fn limit(words: &mut Words<'_>) -> Result<Option<u32>> {
    if words.take(&["none"]) {
        return Ok(None);
    }
    let number = words.number("a number or none")?;
    let limit = u32::try_from(number).ok().filter(|limit| *limit > 0);
    let refused =
        || Error::invalid("max_per_customer", format!("{number} came, 1 or more is wanted"));
    Ok(Some(limit.ok_or_else(refused)?))
}

fn degrees(words: &mut Words<'_>) -> Result<Vec<NamespaceOption>> {
    let text = words.text("limits as a text, like 'user_id 3'")?;
    let degree = |part: String| {
        let refused =
            || Error::invalid("max_degree", format!("'{part}' came, 'user_id 3' is wanted"));
        let (other, limit) = part.split_once(char::is_whitespace).ok_or_else(refused)?;
        let limit = limit.trim().parse().map_err(|_| refused())?;
        Ok(NamespaceOption::MaxDegree(other.to_lowercase(), limit))
    };
    parts(&text).into_iter().map(degree).collect()
}

fn steps(words: &mut Words<'_>) -> Result<Vec<Normalise>> {
    let text = words.text("steps as a text, like 'trim, lowercase'")?;
    let step = |part: String| match part.to_lowercase().as_str() {
        "trim" => Ok(Normalise::Trim),
        "lowercase" => Ok(Normalise::Lowercase),
        "phone" => Ok(Normalise::Phone),
        _ => {
            let reason = format!("'{part}' came, trim, lowercase or phone is wanted");
            Err(Error::invalid("normalise", reason))
        }
    };
    parts(&text).into_iter().map(step).collect()
}

fn parts(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// The namespace with these rules.
pub(super) fn apply(namespace: &mut Namespace, options: &[NamespaceOption]) {
    for option in options {
        match option.clone() {
            NamespaceOption::Tier(tier) => namespace.tier = tier,
            NamespaceOption::Unique(unique) => namespace.unique = unique,
            NamespaceOption::MaxPerCustomer(limit) => namespace.max_per_customer = limit,
            NamespaceOption::MaxDegree(other, limit) => {
                namespace.max_degree.insert(other, limit);
            }
            NamespaceOption::Normalise(steps) => namespace.normalise = steps,
            NamespaceOption::Blocked(values) => namespace.blocked = values,
        }
    }
}
