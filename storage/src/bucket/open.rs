//! Which object store a URL means.

use super::local::DurableLocalStore;
use crate::error::{Error, Result};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// The store of a URL, its root at the database's root, and the URL in full.
pub(super) fn store_of(text: &str) -> Result<(Arc<dyn ObjectStore>, String)> {
    if text.is_empty() {
        return Err(invalid(text, &"it is empty; wanted a directory or a url"));
    }
    let Some((scheme, _)) = text.split_once("://") else {
        return local(text, Path::new(text));
    };
    let url = Url::parse(text).map_err(|error| invalid(text, &error))?;
    match scheme {
        "file" => {
            let path = url.to_file_path();
            local(text, &path.map_err(|()| invalid(text, &"it names no local directory"))?)
        }
        "memory" => Ok((Arc::new(InMemory::new()), text.to_owned())),
        "s3" | "s3a" => s3(&url),
        "gs" => gs(&url),
        "az" | "azure" | "abfs" | "abfss" => az(&url),
        _ => Err(invalid(
            text,
            &"unknown scheme; wanted a directory, file://, memory://, s3://, gs:// or az://",
        )),
    }
}

fn local(text: &str, directory: &Path) -> Result<(Arc<dyn ObjectStore>, String)> {
    if directory.is_file() {
        return Err(invalid(text, &"it is a file; wanted a directory"));
    }
    let store = DurableLocalStore::new(directory).map_err(|error| invalid(text, &error))?;
    Ok((Arc::new(store), text.to_owned()))
}

#[cfg(feature = "aws")]
fn s3(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    let builder = object_store::aws::AmazonS3Builder::from_env().with_url(url.as_str());
    below_prefix(url, builder.build())
}

#[cfg(not(feature = "aws"))]
fn s3(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    Err(not_built(url, "aws"))
}

#[cfg(feature = "gcp")]
fn gs(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
    below_prefix(url, builder.build())
}

#[cfg(not(feature = "gcp"))]
fn gs(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    Err(not_built(url, "gcp"))
}

#[cfg(feature = "azure")]
fn az(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(url.as_str());
    below_prefix(url, builder.build())
}

#[cfg(not(feature = "azure"))]
fn az(url: &Url) -> Result<(Arc<dyn ObjectStore>, String)> {
    Err(not_built(url, "azure"))
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn below_prefix(
    url: &Url,
    built: object_store::Result<impl ObjectStore>,
) -> Result<(Arc<dyn ObjectStore>, String)> {
    let store = built.map_err(|error| invalid(url.as_str(), &error))?;
    let prefix = object_store::path::Path::from_url_path(url.path())
        .map_err(|error| invalid(url.as_str(), &error))?;
    let store = object_store::prefix::PrefixStore::new(store, prefix);
    Ok((Arc::new(store), url.to_string()))
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn not_built(url: &Url, feature: &str) -> Error {
    let reason = format!("this build has no support for it; build with the feature `{feature}`");
    invalid(url.as_str(), &reason)
}

fn invalid(url: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::InvalidUrl { url: url.to_owned(), reason: reason.to_string() }
}
