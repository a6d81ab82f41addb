//! Decoded objects that are used again and again: identity maps, file indexes, bitmaps.

use crate::error::Result;
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

type Key = (TypeId, String);
type Value = Arc<dyn Any + Send + Sync>;

/// Keeps the values that were used last, up to a number of bytes, and always the newest one.
///
/// Objects are immutable, so nothing in it can be out of date.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    values: HashMap<Key, Kept>,
    /// Keys by last use, the oldest first.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    value: Value,
    bytes: usize,
    last_use: u64,
}

impl ObjectCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The value of a name, loaded when it is not there. `load` also says how many bytes of memory
    /// the value takes. Two callers may load the same value at once; that costs time only.
    pub(crate) async fn get_or_load<T: Any + Send + Sync>(
        &self,
        name: &str,
        load: impl Future<Output = Result<(T, usize)>>,
    ) -> Result<Arc<T>> {
        let key = (TypeId::of::<T>(), name.to_owned());
        if let Some(value) = self.with_state(|state| state.find(&key)) {
            return Ok(value);
        }
        let (value, bytes) = load.await?;
        let value = Arc::new(value);
        let kept: Value = Arc::clone(&value) as Value;
        self.with_state(|state| state.keep(key, kept, bytes, self.bytes_max));
        Ok(value)
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn find<T: Any + Send + Sync>(&mut self, key: &Key) -> Option<Arc<T>> {
        self.uses += 1;
        let kept = self.values.get_mut(key)?;
        self.by_use.remove(&kept.last_use);
        kept.last_use = self.uses;
        self.by_use.insert(self.uses, key.clone());
        Arc::downcast(Arc::clone(&kept.value)).ok()
    }

    fn keep(&mut self, key: Key, value: Value, bytes: usize, bytes_max: usize) {
        self.forget(&key);
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, key.clone());
        self.values.insert(key, Kept { value, bytes, last_use: self.uses });
        while self.bytes > bytes_max && self.values.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(kept) = self.values.remove(key) {
            self.by_use.remove(&kept.last_use);
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    async fn get(cache: &ObjectCache, name: &str, bytes: usize) -> String {
        let load = async { Ok((format!("loaded {name}"), bytes)) };
        cache.get_or_load(name, load).await.unwrap().to_string()
    }

    async fn is_kept(cache: &ObjectCache, name: &str) -> bool {
        let load = async { Err::<(String, usize), _>(Error::invalid("test", "absent")) };
        cache.get_or_load(name, load).await.is_ok()
    }

    #[tokio::test]
    async fn the_least_recently_used_value_goes_first() {
        let cache = ObjectCache::new(10);
        get(&cache, "a", 4).await;
        get(&cache, "b", 4).await;
        get(&cache, "a", 4).await;
        get(&cache, "c", 4).await;
        assert!(is_kept(&cache, "a").await && is_kept(&cache, "c").await);
        assert!(!is_kept(&cache, "b").await);
    }

    #[tokio::test]
    async fn a_value_above_the_limit_is_kept_until_the_next_one() {
        let cache = ObjectCache::new(10);
        get(&cache, "large", 100).await;
        assert!(is_kept(&cache, "large").await);
        get(&cache, "small", 1).await;
        assert!(!is_kept(&cache, "large").await);
    }

    #[tokio::test]
    async fn values_of_two_types_share_a_name() {
        let cache = ObjectCache::new(10);
        get(&cache, "a", 1).await;
        let number = cache.get_or_load("a", async { Ok((7_u32, 1)) }).await.unwrap();
        assert_eq!(*number, 7);
        assert_eq!(get(&cache, "a", 1).await, "loaded a");
    }
}
