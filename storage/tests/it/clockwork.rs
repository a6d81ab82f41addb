//! Time and UUIDs that are the same in every run.

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_storage::bucket::Environment;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A clock that goes on by a millisecond each time somebody looks, and when it is told to.
#[derive(Clone, Debug)]
pub struct TestClock {
    now_us: Arc<AtomicI64>,
}

impl TestClock {
    pub fn new() -> Self {
        let noon = DateTime::parse_from_rfc3339("2026-01-01T12:00:00Z").unwrap();
        Self { now_us: Arc::new(AtomicI64::new(noon.timestamp_micros())) }
    }

    /// Also backwards, as clocks of machines do.
    pub fn advance(&self, by: TimeDelta) {
        self.now_us.fetch_add(by.num_microseconds().unwrap(), Ordering::Relaxed);
    }

    pub fn now(&self) -> DateTime<Utc> {
        let now_us = self.now_us.fetch_add(1_000, Ordering::Relaxed);
        DateTime::from_timestamp_micros(now_us).unwrap()
    }
}

/// The clock of one machine and its random numbers.
#[derive(Debug)]
pub struct TestEnvironment {
    clock: TestClock,
    random: Mutex<ChaCha8Rng>,
}

impl TestEnvironment {
    pub fn new(seed: u64, clock: &TestClock) -> Arc<Self> {
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Arc::new(Self { clock: clock.clone(), random })
    }
}

impl Environment for TestEnvironment {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn new_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.random.lock().unwrap().fill_bytes(&mut bytes);
        Uuid::from_bytes(bytes)
    }

    /// Nobody waits: whatever has not answered after some turns of the scheduler never will.
    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        .boxed()
    }
}
