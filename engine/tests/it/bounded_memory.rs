//! Ingest holds no more memory than it is allowed, however large the input.
//!
//! Measured as the peak resident size of a child process (`VmHWM`), because that is what the system
//! kills for. The input is made as it is read, so nothing but the engine can hold it.

use crate::child;
use habitue::{Engine, IngestRequest, Input};
use std::io::Read;

const MEMORY_LIMIT: u64 = 64 << 20;
const EVENTS: u64 = 40_000;
const PROPERTY_BYTES: usize = 8 << 10;

/// Lines of events that are made as they are read.
struct Lines {
    next: u64,
    line: std::io::Cursor<Vec<u8>>,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.line.read(buffer)?;
        if read > 0 || self.next == EVENTS {
            return Ok(read);
        }
        let number = self.next;
        self.next += 1;
        let filling = "x".repeat(PROPERTY_BYTES);
        self.line = std::io::Cursor::new(
            format!(
                "{{\"event_id\":\"{number}\",\"ts\":{},\"event\":\"e\",\"user_id\":\"u{}\",\
                 \"text\":\"{filling}\"}}\n",
                1_767_225_600 + number,
                number % 1000
            )
            .into_bytes(),
        );
        self.line.read(buffer)
    }
}

/// Does nothing unless the test below starts it as a child.
#[test]
fn child_ingests_much() {
    let Some((place, _)) = child::job("memory") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let summary = runtime.block_on(async {
        let builder = Engine::builder().threads(2).memory_limit(MEMORY_LIMIT);
        let engine = builder.create_if_missing().open(&place).await.unwrap();
        let lines = Lines { next: 0, line: std::io::Cursor::default() };
        let reader = Box::new(lines);
        let input = Input::Reader { name: "much.ndjson".into(), reader };
        engine.ingest(IngestRequest::new(input)).await.unwrap()
    });
    println!("\naccepted {}", summary.events_accepted);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    println!("{peak}");
}

// A file larger than the memory would take the machine down.
#[test]
#[cfg(target_os = "linux")]
fn an_input_larger_than_the_limit_stays_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("db");
    let test = "bounded_memory::child_ingests_much";
    let child = child::start(test, "memory", place.to_str().unwrap(), "");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("accepted {EVENTS}")), "{text}");
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    let allowed = MEMORY_LIMIT * 3 / 2 + (150 << 20);
    println!("peak {} MiB, allowed {} MiB", kilobytes >> 10, allowed >> 20);
    assert!(EVENTS * PROPERTY_BYTES as u64 > allowed, "the input is too small to prove anything");
    assert!(kilobytes * 1024 <= allowed, "peak of {kilobytes} kB");
}
