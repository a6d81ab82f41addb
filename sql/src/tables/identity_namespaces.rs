//! `system.identity_namespaces`: the kinds of identifiers and their rules.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{
    bigints, booleans, one_batch, optional, optional_bigints, required, schema, texts, word,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::catalog::Namespace;

#[derive(Debug)]
pub(super) struct IdentityNamespaces;

#[async_trait]
impl SnapshotRows for IdentityNamespaces {
    fn schema(&self) -> SchemaRef {
        schema([
            required("namespace", DataType::Utf8),
            required("tier", DataType::Int64),
            required("unique", DataType::Boolean),
            optional("max_per_customer", DataType::Int64),
            required("max_degree", DataType::Utf8),
            required("normalise", DataType::Utf8),
            required("blocked", DataType::Utf8),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let all = || pinned.catalog().namespaces.iter();
        let columns = vec![
            texts(all().map(|namespace| namespace.name.as_str())),
            bigints(all().map(|namespace| u64::from(namespace.tier))),
            booleans(all().map(|namespace| namespace.unique)),
            optional_bigints(all().map(|namespace| namespace.max_per_customer.map(u64::from))),
            texts(all().map(max_degree)),
            texts(all().map(normalise)),
            texts(all().map(|namespace| namespace.blocked.join(", "))),
        ];
        one_batch(self.schema(), columns)
    }
}

fn max_degree(namespace: &Namespace) -> String {
    let limits = namespace.max_degree.iter();
    limits.map(|(other, limit)| format!("{other} {limit}")).collect::<Vec<_>>().join(", ")
}

fn normalise(namespace: &Namespace) -> String {
    namespace.normalise.iter().map(word).collect::<Vec<_>>().join(", ")
}
