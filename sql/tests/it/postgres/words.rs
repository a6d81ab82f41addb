//! Every file of `tests/slt` through the Postgres protocol, with answers in its binary forms.

use crate::postgres::{Connected, Served};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, TimestampMicrosecondArray,
};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, default_validator};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};

/// A connection as the runner of sqllogictest sees it.
struct Connection(Connected);

/// What the server told.
#[derive(Debug)]
struct Refused(tokio_postgres::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            Some(told) => f.write_str(told.message()),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Error for Refused {}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        self.0.heard();
        let rows = self.0.client.query(sql, &[]).await.map_err(Refused)?;
        let mut lines: Vec<Vec<String>> = rows.iter().map(texts).collect();
        let mut columns = rows.first().map_or(1, Row::len);
        if lines.is_empty() {
            // What a change says comes as notices.
            lines = self.0.heard().into_iter().map(|message| vec![message]).collect();
            columns = 1;
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows: lines })
    }

    async fn shutdown(&mut self) {}
}

fn texts(row: &Row) -> Vec<String> {
    (0..row.len()).map(|column| row.get::<_, Text>(column).0).collect()
}

/// A value as the files of `tests/slt` write it.
struct Text(String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(text(of, raw)?))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self("NULL".into()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Microseconds between the year 1970 and the year 2000, where Postgres begins to count.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

fn text(of: &Type, raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let shown = |array: ArrayRef| array_value_to_string(&array, 0);
    let microseconds = || i64::from_sql(&Type::INT8, raw).map(|time| time + EPOCH_MICROSECONDS);
    if let Kind::Array(_) = of.kind() {
        let items = Vec::<Text>::from_sql(of, raw)?;
        let items: Vec<String> = items.into_iter().map(|item| item.0).collect();
        return Ok(format!("[{}]", items.join(", ")));
    }
    Ok(match *of {
        Type::BOOL => shown(Arc::new(BooleanArray::from(vec![bool::from_sql(of, raw)?])))?,
        Type::INT2 => i16::from_sql(of, raw)?.to_string(),
        Type::INT4 => i32::from_sql(of, raw)?.to_string(),
        Type::INT8 => i64::from_sql(of, raw)?.to_string(),
        Type::FLOAT4 => shown(Arc::new(Float32Array::from(vec![f32::from_sql(of, raw)?])))?,
        Type::FLOAT8 => shown(Arc::new(Float64Array::from(vec![f64::from_sql(of, raw)?])))?,
        Type::NUMERIC => numeric(raw),
        Type::DATE => {
            let days = i32::from_sql(&Type::INT4, raw)? + 10_957;
            shown(Arc::new(Date32Array::from(vec![days])))?
        }
        Type::TIMESTAMP => shown(Arc::new(TimestampMicrosecondArray::from(vec![microseconds()?])))?,
        Type::TIMESTAMPTZ => {
            let times = TimestampMicrosecondArray::from(vec![microseconds()?]);
            shown(Arc::new(times.with_timezone("UTC")))?
        }
        _ => match std::str::from_utf8(raw)? {
            "" => "(empty)".into(),
            text => text.into(),
        },
    })
}

/// Postgres's numbers: digits to the base of 10,000, a weight, a sign and a scale.
fn numeric(raw: &[u8]) -> String {
    let words: Vec<i16> =
        raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    let (weight, negative, scale) = (words[1], words[2] == 0x4000, words[3] as usize);
    let digit = |place: i16| {
        let index = weight - place;
        let known = usize::try_from(index).ok().and_then(|index| words[4..].get(index));
        format!("{:04}", known.copied().unwrap_or(0))
    };
    let whole: String = (0..=weight.max(0)).rev().map(digit).collect();
    let mut text = whole.trim_start_matches('0').to_owned();
    if text.is_empty() {
        text.push('0');
    }
    if scale > 0 {
        let digits: String = (1..=scale.div_ceil(4) as i16).map(|place| digit(-place)).collect();
        text = format!("{text}.{}", &digits[..scale]);
    }
    if negative { format!("-{text}") } else { text }
}

/// The encoder's zero has no digits behind the point.
fn plain_zero(line: &str) -> String {
    let words = line.split(' ').map(|word| if word == "0.0000" { "0" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sql_word_answers_over_postgres_as_its_file_says() {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/slt");
    let mut failures = Vec::new();
    let only = std::env::var("SLT").unwrap_or_default();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let is_slt = file.extension().is_some_and(|end| end == "slt");
        if !is_slt || !file.to_string_lossy().contains(&only) {
            continue;
        }
        let served = Served::open().await;
        let mut runner = Runner::new(|| async { Ok(Connection(served.connect().await)) });
        runner.with_validator(|normalizer, actual, expected| {
            let expected: Vec<String> = expected.iter().map(|line| plain_zero(line)).collect();
            default_validator(normalizer, actual, &expected)
        });
        if let Err(error) = runner.run_file_async(&file).await {
            failures.push(format!("{error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
