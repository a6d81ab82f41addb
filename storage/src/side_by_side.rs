//! Computes on several threads at once, and waits.

use crate::error::{Error, Result};

/// What `work` answers for each share, in their order: of the first on this thread, of the others on
/// threads of their own. `what` names it when it dies.
pub(crate) fn side_by_side<S: Send, A: Send>(
    what: &str,
    shares: impl IntoIterator<Item = S>,
    work: impl Fn(S) -> A + Sync,
) -> Result<Vec<A>> {
    let mut shares = shares.into_iter();
    let Some(own) = shares.next() else {
        return Ok(Vec::new());
    };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let mut answers = vec![work(own)];
        for other in others {
            let died = |_| Error::Internal(format!("{what} stopped"));
            answers.push(other.join().map_err(died)?);
        }
        Ok(answers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_their_shares() {
        for shares in 0..5 {
            let answers = side_by_side("doubling", 0..shares, |share| share * 2).unwrap();
            assert_eq!(answers, (0..shares).map(|share| share * 2).collect::<Vec<_>>());
        }
    }

    // If this fails, a process dies of one bad row, or takes a part for the whole.
    #[test]
    fn a_share_that_dies_is_an_error() {
        let answers = side_by_side("dividing", [1, 0], |by| 1 / by);
        assert!(answers.unwrap_err().to_string().contains("dividing stopped"));
    }
}
