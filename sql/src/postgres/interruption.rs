//! What ends a statement before its end: the client cancels it, or is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How often a connection is looked at that has sent something which is not read yet.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a statement was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    Cancelled,
    Gone,
}

/// A second handle on the connection's socket, to see the client leave while the first one is busy
/// with an answer.
#[derive(Clone)]
pub(super) struct Hangup {
    twin: Arc<TcpStream>,
}

impl Hangup {
    /// Splits a stream into itself and its watcher.
    pub(super) fn watch(stream: TcpStream) -> io::Result<(TcpStream, Self)> {
        let stream = stream.into_std()?;
        let twin = TcpStream::from_std(stream.try_clone()?)?;
        Ok((TcpStream::from_std(stream)?, Self { twin: Arc::new(twin) }))
    }

    /// Returns when the client is gone.
    async fn gone(&self) {
        let mut byte = [0];
        loop {
            match self.twin.peek(&mut byte).await {
                Ok(0) | Err(_) => return,
                Ok(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}

/// What may interrupt one statement.
#[derive(Clone)]
pub(super) struct Interruption {
    wishes: watch::Receiver<u64>,
    hangup: Hangup,
}

impl Interruption {
    pub(super) fn new(wishes: watch::Receiver<u64>, hangup: Hangup) -> Self {
        Self { wishes, hangup }
    }

    /// Returns when the statement is to end.
    pub(super) async fn happened(&mut self) -> Interrupted {
        let cancelled = async {
            if self.wishes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = cancelled => Interrupted::Cancelled,
            () = self.hangup.gone() => Interrupted::Gone,
        }
    }
}
