//! Small objects that show how a store behaves, written and deleted at once.

use super::{Bucket, store_error};
use crate::error::{Error, Result};
use crate::layout;
use chrono::{DateTime, Utc};
use object_store::Error as StoreError;

/// Creates the same name twice; the second time must be refused.
///
/// Some stores take the condition and ignore it. On such a store two writers both believe that
/// they made the same version, and one of the two commits is lost.
pub(super) async fn create_is_exclusive(bucket: &Bucket) -> Result<()> {
    let path = layout::probe(bucket.new_uuid());
    let unsafe_store = |reason: String| Error::UnsafeStore { url: bucket.url().into(), reason };
    match bucket.create(&path, "first".into()).await {
        Ok(()) => {}
        Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
            return Err(unsafe_store("it cannot create an object only if it is absent".into()));
        }
        Err(error) => return Err(store_error("write", &path, error)),
    }
    let second = bucket.create(&path, "second".into()).await;
    // What stays behind is collected as garbage.
    let _ = bucket.delete(&path).await;
    match second {
        Err(StoreError::AlreadyExists { .. }) => Ok(()),
        Ok(()) => Err(unsafe_store("it lets a second writer overwrite an object".into())),
        Err(error) => Err(store_error("write", &path, error)),
    }
}

/// Writes an object and asks the store when that was.
pub(super) async fn clock(bucket: &Bucket) -> Result<DateTime<Utc>> {
    let path = layout::probe(bucket.new_uuid());
    bucket.put_new(&path, "clock".into()).await?;
    let found = bucket.head(&path).await?;
    let _ = bucket.delete(&path).await;
    let found = found.ok_or(Error::Missing { path })?;
    Ok(found.last_modified)
}
