//! What a session may do.

use crate::error::{Error, Result};
use crate::statements::Effect;

/// The effects that a session's statements may have.
///
/// ```
/// use habitue_sql::{Effect, Rights};
///
/// let rights = Rights::of(&[Effect::Read, Effect::Session]);
/// assert!(rights.allow(Effect::Read));
/// assert!(!rights.allow(Effect::ChangeSegments));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// One bit for each effect.
    bits: u8,
}

impl Rights {
    /// Everything is allowed.
    pub const fn all() -> Self {
        Self::of(&Effect::ALL)
    }

    /// These effects and no others.
    pub const fn of(effects: &[Effect]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < effects.len() {
            bits |= bit(effects[place]);
            place += 1;
        }
        Self { bits }
    }

    /// Whether a statement may do this.
    pub const fn allow(&self, effect: Effect) -> bool {
        self.bits & bit(effect) != 0
    }

    /// Refuses what is not allowed.
    pub(crate) fn ensure(&self, effect: Effect) -> Result<()> {
        match self.allow(effect) {
            true => Ok(()),
            false => Err(Error::NoRight { what: effect.name() }),
        }
    }
}

const fn bit(effect: Effect) -> u8 {
    1 << effect as u8
}
