//! Time and randomness, handed in so that a test can repeat a run exactly.

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::time::Duration;
use uuid::Uuid;

/// Where a [`Bucket`](crate::bucket::Bucket) takes the time of this machine, its patience and fresh
/// UUIDs from.
///
/// The time of this machine stamps commits and nothing else. The age of objects is measured by the
/// store's own clock, see [`Bucket::now`](crate::bucket::Bucket::now).
pub trait Environment: Send + Sync + std::fmt::Debug {
    /// The time of this machine.
    fn now(&self) -> DateTime<Utc>;
    /// A UUID that nobody else has: names of objects and of commit attempts.
    fn new_uuid(&self) -> Uuid;
    /// Ends when this time has gone by: how long to wait for an answer, and between two tries.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The clock and the random numbers of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
