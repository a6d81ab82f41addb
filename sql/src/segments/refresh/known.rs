//! What follows for a definition from its version before and from what changed since.

use crate::error::Result;
use crate::segments::refresh::Planned;
use crate::segments::refresh::arrivals::{Asked, Concerned, concerned};
use crate::segments::refresh::changes::Change;
use crate::segments::refresh::clock::Clock;
use crate::session::Query;
use habitue_storage::log::action::DataFile;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When more than one event in so many is new, only whose they are is looked up.
const MANY_PART: u64 = 4;

/// Who is a member, as far as nobody has to be evaluated for it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Members, if nothing is open about them.
    pub(super) members: RoaringBitmap,
    /// Of whom it is not known.
    pub(super) open: Arc<RoaringBitmap>,
    /// How many events came in since the version before.
    pub(super) new_events: u64,
}

impl Known {
    /// `stored` are the members of the version before.
    fn new(stored: &RoaringBitmap, change: &Change, concerned: &Concerned) -> Self {
        // Who merged or split is open whatever they were; the others have the same numbers today.
        let before = &(stored - &change.since.moved);
        let Concerned { may_enter, may_leave, surely_in, surely_out } = concerned;
        let touched = (may_enter - before) | (may_leave & before);
        let open = (&change.customers | touched) - surely_in - surely_out;
        let members = (before | surely_in) - surely_out;
        let new_events = change.since.arrived.iter().map(|file| file.rows).sum();
        Self { members, open: Arc::new(open), new_events }
    }
}

/// What is known of each definition; `None` where nothing is. Definitions since whose versions the
/// same events came in share one pass over these.
pub(super) async fn all_known(
    planned: &[Planned],
    query: &Query,
    clock: Clock,
) -> Result<Vec<Option<Known>>> {
    let mut by_files = BTreeMap::<Vec<&str>, Vec<usize>>::new();
    for (place, one) in planned.iter().enumerate() {
        if let Some(change) = &one.change {
            let files = change.since.arrived.iter().map(|file| file.object.path.as_str());
            by_files.entry(files.collect()).or_default().push(place);
        }
    }
    let mut all = vec![None; planned.len()];
    for places in by_files.values() {
        let since = places.iter().filter_map(|&place| planned[place].change.as_ref()).next();
        let files = since.map_or(&[][..], |change| change.since.arrived.as_slice());
        let asked = places.iter().map(|&place| planned[place].asked.clone()).collect::<Vec<_>>();
        let Some(concerned) = whom_concerned(files, &asked, query, clock).await? else {
            continue;
        };
        for (&place, concerned) in places.iter().zip(concerned) {
            let one = &planned[place];
            if let (Some(change), Some(previous)) = (&one.change, &one.definition.previous) {
                let stored = query.pinned().store().segment_bitmap(&previous.members).await?;
                all[place] = Some(Known::new(&stored, change, &concerned));
            }
        }
    }
    Ok(all)
}

/// Whom the events in these files concern, by the events themselves; or else all whose they are.
/// `None` when the files are gone.
async fn whom_concerned(
    files: &[DataFile],
    asked: &[Asked],
    query: &Query,
    clock: Clock,
) -> Result<Option<Vec<Concerned>>> {
    let pinned = query.pinned();
    let new = files.iter().map(|file| file.rows).sum::<u64>();
    if new == 0 {
        return Ok(Some(vec![Concerned::default(); asked.len()]));
    }
    if new * MANY_PART <= pinned.snapshot().rows()
        && let Ok(concerned) = concerned(files, asked, query, clock).await
    {
        return Ok(Some(concerned));
    }
    // A definition that fails is found when it is evaluated.
    let theirs = match pinned.store().customers_of(files, pinned.identities()).await {
        Ok(theirs) => theirs,
        Err(habitue_storage::Error::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let all = Concerned { may_enter: theirs.clone(), may_leave: theirs, ..Concerned::default() };
    Ok(Some(vec![all; asked.len()]))
}
