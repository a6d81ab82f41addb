//! How fast: the same small shop for every bench, in memory.
//!
//! `cargo bench -p habitue-benches` runs all kernels, `-- funnel` behind it one.

use habitue::{Engine, IngestRequest, IngestSummary, Input, Result};
use habitue_testdata::{ShopOptions, lines};

/// The events of the shop as NDJSON: about 36,000 lines for a thousand people.
pub fn shop_ndjson(customers: u32) -> String {
    let mut text = String::new();
    for line in lines(ShopOptions { customers, ..ShopOptions::default() }) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Takes the lines into an empty database in memory.
///
/// # Errors
/// What the ingest says.
pub async fn ingested(text: &str) -> Result<(Engine, IngestSummary)> {
    let engine = Engine::open("memory://").await?;
    let input = Input::from_bytes("shop.ndjson", text.to_owned());
    let summary = engine.ingest(IngestRequest::new(input)).await?;
    Ok((engine, summary))
}
