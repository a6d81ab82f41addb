//! Cancelling by key: a second connection asks for the end of what the first one runs.

use datafusion_postgres::pgwire::messages::startup::SecretKey;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

/// Bytes of a key when the client's version of the protocol takes long ones.
const KEY_BYTES: usize = 32;

/// The connections that can be asked to stop.
#[derive(Default)]
pub(super) struct Cancellations {
    next: AtomicI32,
    known: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    key: Vec<u8>,
    wishes: watch::Sender<u64>,
}

/// The place of one connection among those that can be asked; it goes with the connection.
pub(super) struct CancelTicket {
    server: Arc<super::server::Server>,
    /// The number that stands for the process of a real server.
    pub(super) number: i32,
    /// What a wish must show.
    pub(super) key: SecretKey,
    wishes: watch::Receiver<u64>,
}

/// How long a key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyLength {
    /// Four bytes, as in version 3.0 of the protocol.
    Short,
    Long,
}

impl Cancellations {
    /// Stops what the connection with this number runs, if the key is right.
    pub(super) fn cancel(&self, number: i32, key: &SecretKey) {
        if let Some(entry) = self.known().get(&number)
            && bool::from(entry.key.ct_eq(&key.to_bytes()))
        {
            entry.wishes.send_modify(|wishes| *wishes += 1);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CancelTicket {
    pub(super) fn new(server: &Arc<super::server::Server>, length: KeyLength) -> Self {
        let key = match length {
            KeyLength::Short => SecretKey::I32(rand::random()),
            KeyLength::Long => SecretKey::Bytes(rand::random::<[u8; KEY_BYTES]>().to_vec().into()),
        };
        let cancellations = &server.cancellations;
        let number = cancellations.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (sender, wishes) = watch::channel(0);
        let entry = Entry { key: key.to_bytes().to_vec(), wishes: sender };
        cancellations.known().insert(number, entry);
        Self { server: server.clone(), number, key, wishes }
    }

    /// Hears the wishes that were not forgotten, also those that came before the statement began: a
    /// client may cancel while its statement is still being read or planned.
    pub(super) fn wishes(&self) -> watch::Receiver<u64> {
        self.wishes.clone()
    }

    /// What was wished until now was for statements that are over.
    pub(super) fn forget(&mut self) {
        self.wishes.mark_unchanged();
    }

    /// Forgets each wish that comes; never returns.
    pub(super) async fn forget_what_comes(&mut self) {
        while self.wishes.changed().await.is_ok() {}
        std::future::pending::<()>().await;
    }
}

impl Drop for CancelTicket {
    fn drop(&mut self) {
        self.server.cancellations.known().remove(&self.number);
    }
}
