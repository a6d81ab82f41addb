//! A writer is killed at random moments; what it acknowledged must be there, once.

use crate::answers::rows;
use crate::child;
use habitue::{
    CompactionDepth, Engine, GarbageOptions, IngestRequest, Input, KeepVersions, MaintainRequest,
};
use habitue_testdata::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const EVENTS_PER_BATCH: u64 = 40;
/// Children are killed within this time after so many acknowledgements at most: about the time that
/// one more batch takes, whatever the machine's speed.
const LIFE_MS_MAX: u32 = 250;
const ACKNOWLEDGED_BEFORE_MAX: u32 = 2;
/// Checking every byte is slow; the rows are counted after every kill.
const KILLS_PER_VERIFY: u32 = 25;

/// A batch by its number. Odd ones bring no event ids, some rows are equal, and people overlap with
/// those of other batches.
fn batch(number: u32) -> IngestRequest {
    let mut text = String::new();
    for row in 0..EVENTS_PER_BATCH {
        let id = if number.is_multiple_of(2) {
            format!("\"event_id\":\"{number}-{row}\",")
        } else {
            String::new()
        };
        let (day, person) = (number % 28 + 1, (u64::from(number) * 7 + row) % 90);
        text.push_str(&format!(
            "{{{id}\"ts\":\"2026-03-{day:02}T10:00:00Z\",\"event\":\"e{}\",\"campaign\":\"{number}\",\
             \"anonymous_id\":\"d{person}\",\"user_id\":\"u{}\"}}\n",
            row % 4,
            person % 30
        ));
    }
    let received_at = "2026-06-01T00:00:00Z".parse().unwrap();
    let input = Input::from_bytes(format!("{number}.ndjson"), text);
    IngestRequest::new(input).received_at(received_at)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

async fn open(place: &str) -> Engine {
    Engine::builder().threads(2).create_if_missing().open(place).await.unwrap()
}

/// Does nothing unless a test below starts it as a child.
#[test]
fn child_ingests() {
    let Some((place, range)) = child::job("ingest") else {
        return;
    };
    let (first, end) = range.split_once("..").unwrap();
    let (first, end): (u32, u32) = (first.parse().unwrap(), end.parse().unwrap());
    block_on(async {
        let engine = open(&place).await;
        println!("\nready");
        for number in first..end {
            engine.ingest(batch(number)).await.unwrap();
            println!("acknowledged {number}");
        }
    });
}

/// Does nothing unless a test below starts it as a child.
#[test]
fn child_maintains() {
    let Some((place, _)) = child::job("maintain") else {
        return;
    };
    block_on(async {
        let engine = open(&place).await;
        println!("\nready");
        loop {
            let request = MaintainRequest::default().depth(CompactionDepth::Full);
            engine.maintain(request).await.unwrap();
        }
    });
}

/// Does nothing unless a test below starts it as a child.
#[test]
fn child_collects_garbage() {
    let Some((place, _)) = child::job("collect") else {
        return;
    };
    block_on(async {
        let engine = open(&place).await;
        println!("\nready");
        loop {
            // Nobody else writes while this child lives: what is unnamed may go at once.
            let garbage = GarbageOptions {
                keep: KeepVersions::Last(1),
                grace: Duration::ZERO,
                ..GarbageOptions::default()
            };
            engine.store().collect_garbage(garbage).await.unwrap();
        }
    });
}

/// Does nothing unless a test below starts it as a child.
#[test]
fn child_refreshes() {
    let Some((place, _)) = child::job("refresh") else {
        return;
    };
    block_on(async {
        let engine = open(&place).await;
        println!("\nready");
        let define = "CREATE OR REPLACE SEGMENT buyers AS \
                      SELECT customer_id FROM events WHERE event = 'e1'";
        engine.sql_all(define).await.unwrap();
        loop {
            engine.refresh(None).await.unwrap();
        }
    });
}

/// Does nothing unless a test below starts it as a child: a process that knows nothing but what
/// lies in the bucket.
#[test]
fn child_counts() {
    let Some((place, _)) = child::job("count") else {
        return;
    };
    block_on(async {
        let engine = open(&place).await;
        println!();
        for (number, (rows, ids)) in counts(&engine).await {
            println!("batch {number} {rows} {ids}");
        }
    });
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn acknowledged(line: &str) -> Option<u32> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

/// Lets the child acknowledge so many batches and live for so long after that, kills it, and
/// answers what it acknowledged.
fn kill_after(mut child: Child, batches: u32, life: Duration) -> Vec<u32> {
    let lines = lines_of(&mut child);
    let mut acknowledged_here = Vec::new();
    let ready = lines.iter().find(|line| line == "ready");
    assert!(ready.is_some(), "the child died before it had opened the database");
    while acknowledged_here.len() < batches as usize {
        let line = lines.recv().expect("the child died by itself");
        acknowledged_here.extend(acknowledged(&line));
    }
    let end = Instant::now() + life;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => acknowledged_here.extend(acknowledged(&line)),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => panic!("the child died by itself"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What was written to the pipe before the kill was acknowledged too.
    acknowledged_here.extend(lines.iter().filter_map(|line| acknowledged(&line)));
    acknowledged_here
}

/// By batch: rows, and different event ids among them.
async fn counts(engine: &Engine) -> BTreeMap<u32, (u64, u64)> {
    let sql = "SELECT campaign, count(*), count(DISTINCT event_id) FROM events GROUP BY campaign";
    let rows = rows(engine, sql).await;
    rows.iter()
        .map(|row| (row[0].parse().unwrap(), (row[1].parse().unwrap(), row[2].parse().unwrap())))
        .collect()
}

/// The same as a process sees it that was started just now.
fn counts_of_fresh_process(place: &str) -> BTreeMap<u32, (u64, u64)> {
    let child = child::start("kill::child_counts", "count", place, "");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the database cannot be read");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers = text.lines().filter_map(|line| line.strip_prefix("batch "));
    let numbers = numbers.map(|line| {
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        (numbers[0] as u32, (numbers[1], numbers[2]))
    });
    numbers.collect()
}

fn check(counts: BTreeMap<u32, (u64, u64)>, acknowledged: &BTreeSet<u32>, what: &str) {
    for number in acknowledged {
        assert!(counts.contains_key(number), "{what}: batch {number} is lost");
    }
    for (number, count) in counts {
        let whole = (EVENTS_PER_BATCH, EVENTS_PER_BATCH);
        assert_eq!(count, whole, "{what}: batch {number} is not there exactly once");
    }
}

async fn verify(place: &str, what: &str) {
    let report = open(place).await.verify().await.unwrap();
    assert!(report.is_clean(), "{what}: {:?}", report.problems);
}

// A crash would lose orders that the shop was told are safe, or count them twice.
#[test]
fn acknowledged_batches_survive_kills_exactly_once() {
    let number_from = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let kills = number_from("HABITUE_KILLS").unwrap_or(100);
    let seed = u64::from(number_from("HABITUE_SEED").unwrap_or(20_260_601));
    println!("seed {seed} (HABITUE_SEED), {kills} kills (HABITUE_KILLS)");
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("db").to_str().unwrap().to_owned();
    let mut known = BTreeSet::new();
    for kill in 1..=kills {
        // The last acknowledged batch comes again, as from a sender who was not sure.
        let first = known.last().copied().unwrap_or(0);
        let (child, batches) = match dice.below(if kill > 1 { 10 } else { 1 }) {
            7 => (child::start("kill::child_maintains", "maintain", &place, ""), 0),
            8 => (child::start("kill::child_collects_garbage", "collect", &place, ""), 0),
            9 => (child::start("kill::child_refreshes", "refresh", &place, ""), 0),
            _ => {
                let range = format!("{first}..{}", u32::MAX);
                let child = child::start("kill::child_ingests", "ingest", &place, &range);
                (child, dice.below(ACKNOWLEDGED_BEFORE_MAX + 1))
            }
        };
        let life = Duration::from_micros(u64::from(dice.below(LIFE_MS_MAX * 1000)));
        known.extend(kill_after(child, batches, life));
        let what = format!("seed {seed}, kill {kill}");
        check(counts_of_fresh_process(&place), &known, &what);
        if kill % KILLS_PER_VERIFY == 0 {
            block_on(verify(&place, &what));
        }
    }
    assert!(known.len() as u32 >= kills / 4, "too few batches came through to prove anything");
    block_on(verify(&place, &format!("seed {seed}, at the end")));
}

// Two jobs that start at the same hour would spoil each other's numbers.
#[test]
fn two_processes_that_ingest_at_once_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("db").to_str().unwrap().to_owned();
    block_on(open(&place));
    let ranges = ["0..14", "7..21"];
    let children = ranges.map(|range| child::start("kill::child_ingests", "ingest", &place, range));
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    block_on(async {
        check(counts(&open(&place).await).await, &(0..21).collect(), "two writers");
        verify(&place, "two writers").await;
        let engine = open(&place).await;
        let people = "SELECT count(DISTINCT user_id), count(DISTINCT customer_id) FROM events";
        let people = rows(&engine, people).await;
        assert_eq!(people, [["30", "30"]]);
    });
}
