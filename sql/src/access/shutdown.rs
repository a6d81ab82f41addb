//! The wish that a server ends.

use tokio::sync::watch;

/// Asks servers to end; dropping it asks, too.
#[derive(Debug)]
pub struct ShutdownTrigger {
    asked: watch::Sender<bool>,
}

/// Waits for the wish to end. Clones wait for the same wish.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

impl ShutdownTrigger {
    /// Says that it is time to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }
}

impl Shutdown {
    /// A wish that has not been made yet, and what makes it.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger { asked: sender }, Self { asked: receiver })
    }

    /// Returns when it is time to end.
    pub async fn asked(mut self) {
        // Nobody can ask any more once the trigger is gone: that is the end, too.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }

    /// Whether it is time to end.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow() || self.asked.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_the_wish() {
        let (trigger, shutdown) = Shutdown::new();
        let other = shutdown.clone();
        assert!(!shutdown.is_asked());
        trigger.ask();
        shutdown.asked().await;
        assert!(other.is_asked());
        other.asked().await;
    }

    #[tokio::test]
    async fn a_trigger_that_is_gone_asks() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        assert!(shutdown.is_asked());
        shutdown.asked().await;
    }
}
