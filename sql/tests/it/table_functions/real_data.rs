//! Known answers from real data; each test says so when the data is not there and it skips.

use super::{rows, session};
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionContext};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A file of the real data, when it is there.
fn real(path: &str) -> Option<PathBuf> {
    let beside_the_project =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../shared/data");
    let folder = std::env::var_os("HABITUE_REAL_DATA").map_or(beside_the_project, PathBuf::from);
    let file = folder.join(path);
    if !file.exists() {
        println!("skipped: no real data at {}", file.display());
        return None;
    }
    Some(file)
}

/// The text of a packed file. The crate itself never unpacks, so it has no library for that.
fn unpacked(file: &Path) -> Option<String> {
    let unpacking = Command::new("gzip").arg("-dc").arg(file).output();
    match unpacking {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            println!("skipped: cannot run gzip: {error}");
            None
        }
    }
}

async fn register_csv(context: &SessionContext, name: &str, folder: &TempDir, text: &str) {
    let path = folder.path().join(format!("{name}.csv"));
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    context.register_csv(name, path, CsvReadOptions::new()).await.unwrap();
}

/// CDNOW as (customer, day, dollars).
async fn cdnow(context: &SessionContext, folder: &TempDir) -> Option<()> {
    let text = fs::read_to_string(real("cdnow/CDNOW_master.txt")?).unwrap();
    let mut csv = "customer,day,dollars\n".to_owned();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [customer, date, _, dollars] = cells[..] else {
            continue;
        };
        let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
        csv.push_str(&format!("{customer},{year}-{month}-{day},{dollars}\n"));
    }
    register_csv(context, "cdnow", folder, &csv).await;
    Some(())
}

#[tokio::test]
async fn cdnow_has_the_known_cohorts_and_repeat_buyers() {
    let (context, folder) = (session(2), TempDir::new().unwrap());
    if cdnow(&context, &folder).await.is_none() {
        return;
    }
    let cohorts = "SELECT customers FROM cohort_retention(cdnow, customer => customer, ts => day, \
                   unit => 'month') WHERE period = 0 ORDER BY cohort";
    assert_eq!(rows(&context, cohorts).await, ["7846", "8476", "7248"]);
    let repeat = "SELECT count(*) FROM rfm(cdnow, customer => customer, ts => day, \
                  amount => dollars, as_of => DATE '1998-06-30') WHERE frequency > 1";
    assert_eq!(rows(&context, repeat).await, ["11662"]);
    let by_days = "SELECT count(*) FROM rfm((SELECT customer, day, sum(dollars) AS dollars FROM \
                   cdnow GROUP BY customer, day), customer => customer, ts => day, \
                   amount => dollars, as_of => DATE '1998-06-30') WHERE frequency > 1";
    assert_eq!(rows(&context, by_days).await, ["11516"]);
}

#[tokio::test]
async fn online_retail_has_the_known_cohort() {
    let Some(file) = real("onlineretail/online_retail.parquet") else {
        return;
    };
    let context = session(2);
    let file = file.to_str().unwrap();
    context.register_parquet("retail", file, ParquetReadOptions::default()).await.unwrap();
    let sql = |condition: &str| {
        format!(
            "SELECT customers, retained FROM cohort_retention((SELECT * FROM retail \
             WHERE {condition}), customer => \"CustomerID\", ts => \"InvoiceDate\", \
             unit => 'month') WHERE cohort = '2010-12-01' AND period > 0 ORDER BY period"
        )
    };
    let told = |size, retained: [i64; 12]| retained.map(|count| format!("{size} {count}"));
    let all = [362, 317, 367, 341, 376, 360, 336, 336, 374, 354, 474, 260];
    assert_eq!(rows(&context, &sql("true")).await, told(948, all));
    let cleaned = [324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445, 235];
    let positive = "\"Quantity\" > 0 AND \"UnitPrice\" > 0";
    assert_eq!(rows(&context, &sql(positive)).await, told(885, cleaned));
}

#[tokio::test]
async fn clickstream_has_the_known_funnels() {
    let Some(file) = real("ecommerce_clickstream/ecom.csv.gz") else {
        return;
    };
    let (context, folder) = (session(2), TempDir::new().unwrap());
    let Some(text) = unpacked(&file) else {
        return;
    };
    register_csv(&context, "clicks", &folder, &text).await;
    for (within, expected) in
        [("NULL", ["586", "581", "480", "247"]), ("INTERVAL '1' HOUR", ["586", "558", "305", "93"])]
    {
        let sql = format!(
            "SELECT customers FROM funnel(clicks, event = 'home', event = 'product_view', \
             event = 'add_to_cart', event = 'purchase', customer => user_id, ts => timestamp, \
             within => {within}) ORDER BY step"
        );
        assert_eq!(rows(&context, &sql).await, expected, "{within}");
    }
}

/// Counts that `testdata/oracles/rfm.py` prints: customers per score r, f, m.
async fn score_counts(context: &SessionContext, call: &str) -> Vec<String> {
    let mut counts = Vec::new();
    for score in ["r", "f", "m"] {
        let sql = format!("SELECT count(*) FROM {call} GROUP BY {score} ORDER BY {score}");
        counts.push(rows(context, &sql).await.join(" "));
    }
    counts
}

#[tokio::test]
async fn rfm_of_orders_and_cdnow_is_that_of_an_independent_computation() {
    let (context, folder) = (session(2), TempDir::new().unwrap());
    let Some(file) = real("orders_rfm/rfm_data_orders.csv") else {
        return;
    };
    let text = fs::read_to_string(file).unwrap();
    register_csv(&context, "orders", &folder, &text).await;
    let call = "rfm(orders, ts => order_date, amount => revenue, as_of => DATE '2006-12-31')";
    let counts = score_counts(&context, call).await;
    let orders = ["200 198 202 199 196", "268 187 176 244 120", "199 199 199 199 199"];
    assert_eq!(counts, orders);
    cdnow(&context, &folder).await.unwrap();
    let call = "rfm(cdnow, customer => customer, ts => day, amount => dollars, \
                as_of => DATE '1998-06-30')";
    let cdnow = ["4735 4712 4702 4720 4701", "11908 4079 3658 3925", "4861 4568 4720 4722 4699"];
    assert_eq!(score_counts(&context, call).await, cdnow);
}
