//! One snapshot with what queries over it need at hand.

use crate::error::{Error, Named, Result};
use crate::hot::HotColumns;
use crate::segments::Members;
use arrow::datatypes::Schema;
use habitue_storage::catalog::{Catalog, SegmentDefinition};
use habitue_storage::dictionary::Dictionary;
use habitue_storage::identity::IdentityMap;
use habitue_storage::log::action::{DataFile, SegmentVersion};
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// A segment as a query names it: its name and, when one was asked for, its version.
pub(crate) type SegmentKey = (String, Option<u64>);

/// A snapshot, its catalog and its identity map; the same from the start of a query to its end.
///
/// The engine plans and evaluates without waiting, so whatever must be read from the store for that
/// (segments, the dictionary) is read before and kept here.
pub(crate) struct Pinned {
    store: Store,
    hot: Arc<HotColumns>,
    snapshot: Arc<Snapshot>,
    catalog: Arc<Catalog>,
    identities: Arc<IdentityMap>,
    is_excerpt: bool,
    dictionary: OnceLock<Arc<Dictionary>>,
    segments: RwLock<HashMap<SegmentKey, Arc<Members>>>,
    /// Whether earlier queries asked for columns of these names.
    asked: Mutex<HashMap<Vec<String>, bool>>,
}

impl Pinned {
    /// Pins a snapshot.
    pub(crate) async fn new(
        store: Store,
        hot: Arc<HotColumns>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Self> {
        let catalog = store.catalog(&snapshot).await?;
        let identities = store.identity_map(&snapshot).await?;
        Ok(Self {
            store,
            hot,
            snapshot,
            catalog,
            identities,
            is_excerpt: false,
            dictionary: OnceLock::new(),
            segments: RwLock::default(),
            asked: Mutex::default(),
        })
    }

    /// The same snapshot with the rows of these files only, which need not be files of it any more.
    pub(crate) fn excerpt(&self, files: &[DataFile]) -> Self {
        let files = files.iter().map(|file| (file.object.path.clone(), file.clone())).collect();
        let snapshot = Snapshot { data_files: files, ..self.snapshot.as_ref().clone() };
        Self {
            store: self.store.clone(),
            hot: self.hot.clone(),
            snapshot: Arc::new(snapshot),
            catalog: self.catalog.clone(),
            identities: self.identities.clone(),
            is_excerpt: true,
            dictionary: OnceLock::new(),
            segments: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// Whether it has the rows of some files only.
    pub(crate) fn is_excerpt(&self) -> bool {
        self.is_excerpt
    }

    /// Whether earlier queries asked for these columns of the same files. One query asks once, however
    /// often it reads them.
    pub(crate) fn is_asked_again(&self, columns: &Schema) -> bool {
        let names = columns.fields().iter().map(|field| field.name().clone()).collect();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.entry(names).or_insert_with(|| {
            let files = self.snapshot.data_files.keys().map(AsRef::as_ref).collect::<Vec<&str>>();
            self.hot.is_wanted_again(&files.join("\n"), columns)
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The decoded columns of the process.
    pub(crate) fn hot(&self) -> &Arc<HotColumns> {
        &self.hot
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub(crate) fn identities(&self) -> &Arc<IdentityMap> {
        &self.identities
    }

    /// The dictionary, if [`Pinned::load_dictionary`] has read it.
    pub(crate) fn dictionary(&self) -> Option<&Arc<Dictionary>> {
        self.dictionary.get()
    }

    /// Reads the dictionary, once.
    pub(crate) async fn load_dictionary(&self) -> Result<()> {
        if self.dictionary.get().is_none() {
            let dictionary = self.store.dictionary(&self.snapshot).await?;
            // A second reader may have been faster; both read the same.
            let _ = self.dictionary.set(dictionary);
        }
        Ok(())
    }

    /// What the catalog says about a segment.
    pub(crate) fn segment(&self, name: &str) -> Result<&SegmentDefinition> {
        let known = || self.catalog.segments.keys().map(String::as_str);
        let found = self.catalog.segments.get(name);
        found.ok_or_else(|| Error::unknown(Named::Segment, name, known()))
    }

    /// The newest version of a segment, or the one with this number.
    pub(crate) fn segment_version(
        &self,
        name: &str,
        number: Option<u64>,
    ) -> Result<&SegmentVersion> {
        let id = self.segment(name)?.id;
        let versions = self.snapshot.segment_versions.get(&id).map_or(&[][..], Vec::as_slice);
        let found = match number {
            Some(number) => versions.iter().find(|version| version.number == number),
            None => versions.last(),
        };
        found.ok_or_else(|| no_such_version(name, number, versions))
    }

    /// The members of a segment, if [`Pinned::load_segment`] has read them.
    pub(crate) fn members(&self, key: &SegmentKey) -> Option<Arc<Members>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.get(key).cloned()
    }

    /// Lets queries see `members` as the newest version of a segment: a refresh computes segments
    /// that read others before any of them is published.
    pub(crate) fn set_members(&self, name: &str, members: Arc<Members>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert((name.to_owned(), None), members);
    }

    /// Reads the members of a segment, once.
    pub(crate) async fn load_segment(&self, key: &SegmentKey) -> Result<Arc<Members>> {
        if let Some(members) = self.members(key) {
            return Ok(members);
        }
        let version = self.segment_version(&key.0, key.1)?;
        let members = Arc::new(Members::load(self, version).await?);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        Ok(segments.entry(key.clone()).or_insert(members).clone())
    }
}

fn no_such_version(name: &str, number: Option<u64>, versions: &[SegmentVersion]) -> Error {
    let newest = versions.last().map_or(0, |version| version.number);
    let asked = number.map_or_else(|| "the newest".to_owned(), |number| number.to_string());
    Error::invalid(
        format!("version of segment '{name}'"),
        format!("{asked} was asked for, versions 1 to {newest} are there"),
    )
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned(version {})", self.snapshot.version)
    }
}

impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot.version == other.snapshot.version
    }
}

impl Eq for Pinned {}

impl Hash for Pinned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.snapshot.version.hash(state);
    }
}
