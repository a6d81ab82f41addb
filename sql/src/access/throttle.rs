//! How long somebody who failed has to wait before the next attempt.
//!
//! Failures are counted for the pair of user and peer, for the peer (who tries many users) and for
//! the user (whom many peers try). The pair waits longest, so that nobody can lock out a user from
//! elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// The wait after the first failures of a pair; it doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait of a pair.
const WAIT_LONGEST: Duration = Duration::from_secs(60);
/// The longest wait of a peer or a user for what others did.
const WAIT_LONGEST_FOR_OTHERS: Duration = Duration::from_secs(2);
/// Failures of a peer or a user that cost nothing: people share addresses and mistype.
const FREE_FAILURES: u32 = 10;
/// Without a failure for so long, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Whoever is remembered at a time; the oldest make room.
const REMEMBERED_MAX: usize = 20_000;

/// Who tries.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, Option<IpAddr>),
    Peer(Option<IpAddr>),
    User(String),
}

impl Attempt {
    pub(super) fn new(user: &str, peer: Option<IpAddr>) -> Self {
        let user = user.to_owned();
        Self { keys: vec![Key::Pair(user.clone(), peer), Key::Peer(peer), Key::User(user)] }
    }

    /// An attempt without the name of a user.
    pub(super) fn of_peer(peer: Option<IpAddr>) -> Self {
        Self { keys: vec![Key::Peer(peer)] }
    }
}

impl Key {
    fn wait_after(&self, failures: u32) -> Duration {
        let (free, longest) = match self {
            Self::Pair(..) => (0, WAIT_LONGEST),
            Self::Peer(_) | Self::User(_) => (FREE_FAILURES, WAIT_LONGEST_FOR_OTHERS),
        };
        match failures.saturating_sub(free) {
            0 => Duration::ZERO,
            counted => {
                let doubled = 1_u32.checked_shl(counted - 1).unwrap_or(u32::MAX);
                WAIT_FIRST.saturating_mul(doubled).min(longest)
            }
        }
    }
}

/// The failures that are remembered.
#[derive(Default)]
pub(super) struct Throttle {
    failures: HashMap<Key, (u32, Instant)>,
}

impl Throttle {
    /// How long to wait before this attempt; none when it may be made.
    pub(super) fn wait(&self, attempt: &Attempt, now: Instant) -> Option<Duration> {
        let waits = attempt.keys.iter().filter_map(|key| {
            let (failures, last) = self.failures.get(key)?;
            let open_at = *last + key.wait_after(*failures);
            (open_at > now).then(|| open_at - now)
        });
        waits.max()
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, now: Instant) {
        if self.failures.len() >= REMEMBERED_MAX {
            self.forget(now);
        }
        for key in &attempt.keys {
            let (failures, last) = self.failures.entry(key.clone()).or_insert((0, now));
            if now.duration_since(*last) > FORGOTTEN_AFTER {
                *failures = 0;
            }
            *failures = failures.saturating_add(1);
            *last = now;
        }
    }

    /// The user is who they say; what the peer tried with others stays.
    pub(super) fn succeeded(&mut self, attempt: &Attempt) {
        for key in attempt.keys.iter().filter(|key| !matches!(key, Key::Peer(_))) {
            self.failures.remove(key);
        }
    }

    /// Drops what is old, and half of the rest when that is not enough.
    fn forget(&mut self, now: Instant) {
        self.failures.retain(|_, (_, last)| now.duration_since(*last) <= FORGOTTEN_AFTER);
        if self.failures.len() < REMEMBERED_MAX {
            return;
        }
        let mut times: Vec<Instant> = self.failures.values().map(|(_, last)| *last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.failures.retain(|_, (_, last)| *last > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    // If this fails, passwords can be guessed as fast as the network is.
    #[test]
    fn the_wait_grows_with_each_failure() {
        let mut throttle = Throttle::default();
        let attempt = Attempt::new("ada", peer(1));
        let now = Instant::now();
        assert_eq!(throttle.wait(&attempt, now), None);
        let mut waits = Vec::new();
        for _ in 0..4 {
            throttle.failed(&attempt, now);
            waits.push(throttle.wait(&attempt, now).unwrap().as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800]);
        assert_eq!(throttle.wait(&attempt, now + Duration::from_millis(800)), None);
        for _ in 0..100 {
            throttle.failed(&attempt, now);
        }
        assert_eq!(throttle.wait(&attempt, now), Some(WAIT_LONGEST));
    }

    #[test]
    fn nobody_is_locked_out_from_elsewhere() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..100 {
            throttle.failed(&Attempt::new("ada", peer(1)), now);
        }
        let elsewhere = throttle.wait(&Attempt::new("ada", peer(2)), now);
        assert_eq!(elsewhere, Some(WAIT_LONGEST_FOR_OTHERS));
        let another_user = throttle.wait(&Attempt::new("bob", peer(1)), now);
        assert_eq!(another_user, Some(WAIT_LONGEST_FOR_OTHERS));
        assert_eq!(throttle.wait(&Attempt::new("bob", peer(2)), now), None);
    }

    #[test]
    fn the_right_password_makes_good() {
        let mut throttle = Throttle::default();
        let attempt = Attempt::new("ada", peer(1));
        let now = Instant::now();
        throttle.failed(&attempt, now);
        throttle.succeeded(&attempt);
        assert_eq!(throttle.wait(&attempt, now), None);
    }

    #[test]
    fn memory_of_failures_is_bounded() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..(REMEMBERED_MAX as u64) {
            let moment = now + Duration::from_millis(number);
            throttle.failed(&Attempt::new(&format!("user{number}"), peer(1)), moment);
        }
        assert!(throttle.failures.len() <= REMEMBERED_MAX + 3);
    }
}
