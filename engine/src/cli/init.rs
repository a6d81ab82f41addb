//! `habitue init`: make an empty database.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::namespace_rule::{NamespaceRule, check_references, described};
use crate::cli::say;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::store::Store;

/// The arguments of `habitue init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  habitue init shop
  habitue init s3://bucket/shop
  habitue init shop --namespace loyalty_card:tier=1,unique=true
  habitue init graph --namespace user_id:unique=false \\
      --namespace anonymous_id:max_degree=none --namespace device_id:max_degree=none")]
pub(crate) struct Arguments {
    /// Where: a folder, or a url such as s3://bucket/path
    #[arg(value_name = "DB")]
    database: String,
    /// Change the rules of an identifier namespace, or add one: NAME:KEY=VALUE,… with the keys
    /// tier=1…9, unique=true|false, max_per_customer=N|none, max_degree=none|OTHER/N+…,
    /// normalise=none|trim+lowercase+phone, blocked=VALUE+…
    #[arg(long = "namespace", value_name = "RULE")]
    namespaces: Vec<NamespaceRule>,
}

/// Makes the database and says how customers will be told apart.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let mut catalog = Catalog::default();
    for rule in &arguments.namespaces {
        rule.apply(&mut catalog);
    }
    check_references(&catalog).map_err(Failure::request)?;
    let namespaces = catalog.namespaces.clone();
    let bucket = Bucket::open(&arguments.database).await?;
    Store::create(bucket, catalog).await?;
    let mut text = format!("made an empty database. place={}\n", arguments.database);
    for namespace in &namespaces {
        text.push_str(&format!("  {:<14} {}\n", namespace.name, described(namespace)));
    }
    say(&text)
}
