//! The commit protocol, one rule at a time.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::{Fault, FaultStore};
use crate::workload::{self, batches};
use chrono::TimeDelta;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::log::action::{Action, Operation};
use habitue_storage::log::commit::CommitOutcome;
use habitue_storage::store::Store;
use habitue_storage::{Error, ErrorKind};
use std::sync::Arc;

struct Place {
    objects: FaultStore,
    clock: TestClock,
}

impl Place {
    fn new() -> Self {
        let clock = TestClock::new();
        Self { objects: FaultStore::new(&clock), clock }
    }

    /// Another process with its own random numbers.
    fn bucket(&self, seed: u64) -> Bucket {
        let environment = TestEnvironment::new(seed, &self.clock);
        Bucket::with_environment(Arc::new(self.objects.clone()), "memory://", environment)
    }

    async fn create(&self) -> Store {
        Store::create(self.bucket(0), Catalog::default()).await.unwrap()
    }

    async fn open(&self, seed: u64) -> Store {
        Store::open(self.bucket(seed)).await.unwrap()
    }
}

#[tokio::test]
async fn a_database_is_created_once() {
    let place = Place::new();
    let error = Store::open(place.bucket(1)).await.unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    place.create().await;
    let error = Store::create(place.bucket(1), Catalog::default()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyADatabase { .. }), "{error}");
}

#[tokio::test]
async fn a_write_that_failed_after_it_was_done_is_recognised() {
    for fault in [Fault::FailAfter, Fault::TakenAfter, Fault::HangAfter, Fault::Late] {
        let place = Place::new();
        let store = place.create().await;
        let based_on = store.snapshot().await.unwrap();
        let draft = workload::ingest_draft(&store, &based_on, 7).await.unwrap();
        place.objects.break_at(1, fault);
        let outcome = store.commit(draft).await.unwrap();
        let CommitOutcome::Committed(snapshot) = outcome else { panic!("{fault:?}") };
        assert_eq!((snapshot.version, batches(&snapshot)), (2, vec![7]), "{fault:?}");
        assert_eq!(place.open(9).await.snapshot().await.unwrap(), snapshot, "{fault:?}");
    }
}

#[tokio::test]
async fn the_loser_of_a_race_is_told_and_nothing_of_it_is_there() {
    let place = Place::new();
    let (first, second) = (place.create().await, place.open(1).await);
    let based_on = first.snapshot().await.unwrap();
    let winner = workload::ingest_draft(&first, &based_on, 1).await.unwrap();
    let loser = workload::ingest_draft(&second, &based_on, 2).await.unwrap();
    first.commit(winner).await.unwrap();
    let outcome = second.commit(loser).await.unwrap();
    let CommitOutcome::Conflict { version, snapshot } = outcome else { panic!("{outcome:?}") };
    assert_eq!((version, snapshot.version, batches(&snapshot)), (2, 2, vec![1]));
}

#[tokio::test]
async fn a_draft_goes_above_commits_that_do_not_stand_against_it() {
    let place = Place::new();
    let (first, second) = (place.create().await, place.open(1).await);
    workload::ingest(&first, 1).await.unwrap();
    workload::ingest(&first, 2).await.unwrap();
    let based_on = second.snapshot().await.unwrap();
    let ingest = workload::ingest_draft(&second, &based_on, 3).await.unwrap();
    assert!(workload::compact(&first).await.unwrap());
    let outcome = second.commit(ingest).await.unwrap();
    let CommitOutcome::Committed(snapshot) = outcome else { panic!("{outcome:?}") };
    assert_eq!((snapshot.version, batches(&snapshot)), (5, vec![1, 2, 3]));
    let newest = snapshot.data_files.values().map(|file| file.ingested_to).max();
    assert_eq!(newest, Some(5), "a data file says the version that it was ingested in");
}

#[tokio::test]
async fn a_file_is_compacted_once() {
    let place = Place::new();
    let (first, second) = (place.create().await, place.open(1).await);
    workload::ingest(&first, 1).await.unwrap();
    workload::ingest(&first, 2).await.unwrap();
    let based_on = second.snapshot().await.unwrap();
    let loser = workload::compact_draft(&second, &based_on).await.unwrap().unwrap();
    assert!(workload::compact(&first).await.unwrap());
    let outcome = second.commit(loser).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Conflict { version: 4, .. }), "{outcome:?}");
}

#[tokio::test]
async fn times_go_up_though_clocks_go_back() {
    let place = Place::new();
    let store = place.create().await;
    let mut times = vec![store.snapshot().await.unwrap().committed_at_us];
    for value in 1..5 {
        place.clock.advance(TimeDelta::hours(-1));
        times.push(workload::change_setting(&store, value).await.unwrap().committed_at_us);
    }
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
}

#[tokio::test]
async fn a_store_that_overwrites_is_refused() {
    let place = Place::new();
    let careless = Arc::new(careless::Careless::default());
    let bucket =
        Bucket::with_environment(careless, "careless://", TestEnvironment::new(0, &place.clock));
    let error = Store::create(bucket, Catalog::default()).await.unwrap_err();
    assert!(matches!(error, Error::UnsafeStore { .. }), "{error}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_back_leaves_the_outcome_unknown() {
    let place = Place::new();
    let store = place.create().await;
    let based_on = store.snapshot().await.unwrap();
    let other = workload::ingest_draft(&store, &based_on, 1).await.unwrap();
    let late = place.open(1).await;
    let draft = workload::ingest_draft(&late, &based_on, 2).await.unwrap();
    store.commit(other).await.unwrap();
    place.objects.damage("log/00000000000000000002.json", |bytes| bytes.truncate(9)).await;
    let error = late.commit(draft).await.unwrap_err();
    assert!(matches!(error, Error::UnknownOutcome { version: 2, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_draft_that_breaks_a_rule_is_not_written() {
    let place = Place::new();
    let store = place.create().await;
    let snapshot = store.snapshot().await.unwrap();
    let gap = workload::write_run(store.bucket(), 5, 1).await.unwrap();
    let nowhere = Action::RemoveDataFile { path: "events/nowhere.parquet".into() };
    for action in [Action::AddDictionaryRun(gap), nowhere] {
        let draft = workload::draft(&snapshot, Operation::Ingest, vec![action]);
        assert_eq!(store.commit(draft).await.unwrap_err().kind(), ErrorKind::Internal);
    }
    assert_eq!(store.snapshot().await.unwrap().version, 1);
}

#[tokio::test]
async fn namespaces_are_never_removed() {
    let place = Place::new();
    let store = place.create().await;
    let edit = |catalog: &mut Catalog| {
        catalog.namespaces.remove(0);
        Ok(())
    };
    let error = store.update_catalog(edit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

/// A store that takes `PutMode::Create` and overwrites all the same.
mod careless {
    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    };

    #[derive(Debug, Default)]
    pub struct Careless(InMemory);

    impl std::fmt::Display for Careless {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(formatter, "Careless")
        }
    }

    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(
            &self,
            location: &Path,
            payload: PutPayload,
            _options: PutOptions,
        ) -> Result<PutResult> {
            self.0.put_opts(location, payload, PutOptions::default()).await
        }

        async fn put_multipart_opts(
            &self,
            location: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(location, options).await
        }

        async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(location, options).await
        }

        fn delete_stream(
            &self,
            locations: BoxStream<'static, Result<Path>>,
        ) -> BoxStream<'static, Result<Path>> {
            self.0.delete_stream(locations)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }
}
