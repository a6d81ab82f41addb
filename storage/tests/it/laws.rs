//! Random histories against a model in memory. Breaks for a user if this fails: a version answers
//! what it never held.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use crate::workload::{self, batches};
use chrono::DateTime;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::garbage::{GarbageMode, GarbageOptions, KeepVersions};
use habitue_storage::layout;
use habitue_storage::segment::NewSegmentVersion;
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const STEPS: u64 = 150;
const SEEDS_PER_RUN: u64 = 6;

/// What the database must be, as simply as it can be said.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    batches: Vec<u64>,
    data_files: usize,
    identifiers: u32,
    setting: Option<u64>,
    segment_versions: u64,
    committed_at_us: i64,
}

struct World {
    objects: FaultStore,
    clock: TestClock,
    random: ChaCha8Rng,
    store: Store,
    /// The model at each version.
    versions: BTreeMap<u64, Model>,
    oldest_readable: u64,
    opened: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_readable_version_is_what_the_model_says() {
    let first = std::env::var("HABITUE_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS_PER_RUN,
    };
    let runs: Vec<_> = seeds.map(|seed| tokio::spawn(run(seed))).collect();
    for run in runs {
        run.await.unwrap();
    }
}

async fn run(seed: u64) {
    eprintln!("HABITUE_SEED={seed}");
    let clock = TestClock::new();
    let objects = FaultStore::new(&clock);
    let store = Store::create(bucket(&objects, &clock, seed, 0), Catalog::default()).await.unwrap();
    let mut world = World {
        objects,
        clock,
        random: ChaCha8Rng::seed_from_u64(seed),
        store,
        versions: BTreeMap::new(),
        oldest_readable: 1,
        opened: 0,
    };
    world.note(Model::default()).await;
    for step in 1..=STEPS {
        world.step(step).await;
        world.check_some_version().await;
    }
    world.check_everything().await;
}

fn bucket(objects: &FaultStore, clock: &TestClock, seed: u64, opened: u64) -> Bucket {
    let environment = TestEnvironment::new(seed << 32 | opened, clock);
    Bucket::with_environment(Arc::new(objects.clone()), "memory://", environment)
}

impl World {
    fn newest(&self) -> (u64, Model) {
        let (version, model) = self.versions.last_key_value().unwrap();
        (*version, model.clone())
    }

    /// The newest version is this from here on.
    async fn note(&mut self, mut model: Model) {
        let snapshot = self.store.snapshot().await.unwrap();
        model.committed_at_us = snapshot.committed_at_us;
        let next = self.versions.last_key_value().map_or(1, |(version, _)| version + 1);
        assert_eq!(snapshot.version, next, "each operation makes one version");
        self.versions.insert(snapshot.version, model);
    }

    async fn step(&mut self, step: u64) {
        match self.random.random_range(0..12) {
            0..=4 => self.ingest(step).await,
            5..=6 => self.compact().await,
            7 => self.change_setting(step).await,
            8 => self.publish().await,
            9 => self.reopen().await,
            10 => self.lose_a_checkpoint().await,
            _ => self.collect_garbage().await,
        }
    }

    async fn ingest(&mut self, batch: u64) {
        let (_, mut model) = self.newest();
        workload::ingest(&self.store, batch).await.unwrap();
        model.batches.push(batch);
        model.data_files += 1;
        model.identifiers += 1 + u32::try_from(batch % 3).unwrap();
        self.note(model).await;
    }

    async fn compact(&mut self) {
        let (_, mut model) = self.newest();
        if workload::compact(&self.store).await.unwrap() {
            model.data_files -= 1;
            self.note(model).await;
        }
    }

    async fn change_setting(&mut self, value: u64) {
        let (_, mut model) = self.newest();
        workload::change_setting(&self.store, value).await.unwrap();
        model.setting = Some(value);
        self.note(model).await;
    }

    async fn publish(&mut self) {
        let (_, model) = self.newest();
        let segment = crate::segments::define(&self.store, "vip").await.unwrap();
        self.note(model).await;
        let (version, mut model) = self.newest();
        let new = NewSegmentVersion {
            segment_id: segment.id,
            defined_at_us: segment.defined_at_us,
            computed_at: version,
            members: (0..50).filter(|_| self.random.random()).collect(),
            computation: None,
        };
        self.store.publish_segments(vec![new]).await.unwrap();
        model.segment_versions += 1;
        self.note(model).await;
    }

    async fn reopen(&mut self) {
        self.opened += 1;
        let seed = self.random.random::<u32>();
        let bucket = bucket(&self.objects, &self.clock, u64::from(seed), self.opened);
        self.store = Store::open(bucket).await.unwrap();
    }

    async fn lose_a_checkpoint(&mut self) {
        let paths = self.objects.paths().await;
        let is_checkpoint = |path: &&String| layout::version_of_checkpoint(path).is_some();
        let checkpoints: Vec<&String> = paths.iter().filter(is_checkpoint).collect();
        if let Some(path) = checkpoints.choose(&mut self.random) {
            self.objects.lose(path).await;
        }
    }

    async fn collect_garbage(&mut self) {
        let keep = KeepVersions::Last(self.random.random_range(1..40));
        let options = GarbageOptions { keep, grace: Duration::ZERO, mode: GarbageMode::Delete };
        let (newest, model) = self.newest();
        let report = self.store.collect_garbage(options).await.unwrap();
        let KeepVersions::Last(kept) = keep else { unreachable!() };
        let wanted = (newest + 1).saturating_sub(kept).max(self.oldest_readable);
        assert_eq!(report.oldest_readable, wanted);
        self.oldest_readable = wanted;
        if self.store.snapshot().await.unwrap().version > newest {
            self.note(model).await;
        }
    }

    async fn check_some_version(&mut self) {
        let (newest, _) = self.newest();
        let version = self.random.random_range(1..=newest);
        self.check(version).await;
    }

    async fn check(&self, version: u64) {
        let found = self.store.snapshot_at(version).await;
        if version < self.oldest_readable {
            assert!(found.is_err(), "version {version} has expired");
            return;
        }
        let snapshot = found.unwrap();
        let model = &self.versions[&version];
        assert_eq!(&self.observe(&snapshot).await, model, "version {version}");
        let at = DateTime::from_timestamp_micros(model.committed_at_us).unwrap();
        let as_of = self.store.snapshot_as_of(at).await.unwrap();
        assert_eq!(as_of.version, version, "as of its own time");
    }

    async fn observe(&self, snapshot: &Snapshot) -> Model {
        let catalog = self.store.catalog(snapshot).await.unwrap();
        let setting = catalog.settings.get("value").map(|value| value.parse().unwrap());
        let segment_versions: usize = snapshot.segment_versions.values().map(Vec::len).sum();
        Model {
            batches: batches(snapshot),
            data_files: snapshot.data_files.len(),
            identifiers: snapshot.identifiers(),
            setting,
            segment_versions: segment_versions as u64,
            committed_at_us: snapshot.committed_at_us,
        }
    }

    async fn check_everything(&self) {
        let (newest, _) = self.newest();
        for version in 1..=newest {
            self.check(version).await;
        }
        let commits = self.store.commits().await.unwrap();
        let times: Vec<i64> = commits.iter().map(|commit| commit.committed_at_us).collect();
        let wanted: Vec<i64> = self.versions.values().map(|model| model.committed_at_us).collect();
        assert_eq!(times, wanted);
        let report = self.store.verify().await.unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    }
}
