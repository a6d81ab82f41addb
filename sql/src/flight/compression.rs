//! Compression of messages by gRPC, for clients that ask for it.
//!
//! gRPC compresses whatever a client accepts, and nearly all of them accept gzip without anybody
//! having chosen it: a result would be packed on a loopback connection at a tenth of its speed.
//! A client that accepts zstd was told to; one that knows gzip alone says with the header
//! `habitue-compression: gzip` that it means it.

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};

const ACCEPTED: &str = "grpc-accept-encoding";
const WANTED: &str = "habitue-compression";

/// Leaves of the encodings that a client accepts the one that it wants.
pub(super) fn only_what_is_wanted(mut request: Request<()>) -> Result<Request<()>, Status> {
    let wanted = wanted(request.metadata());
    let metadata = request.metadata_mut();
    metadata.remove(ACCEPTED);
    if let Some(encoding) = wanted {
        metadata.insert(ACCEPTED, AsciiMetadataValue::from_static(encoding));
    }
    Ok(request)
}

fn wanted(metadata: &MetadataMap) -> Option<&'static str> {
    let lists = |header: &str, name: &str| {
        let value = metadata.get(header).and_then(|value| value.to_str().ok());
        value.is_some_and(|list| list.split(',').any(|listed| listed.trim() == name))
    };
    match () {
        () if lists(ACCEPTED, "zstd") => Some("zstd"),
        () if lists(ACCEPTED, "gzip") && lists(WANTED, "gzip") => Some("gzip"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_must_be_asked_for_and_zstd_need_not() {
        for (accepted, asked, expected) in [
            ("identity,gzip", None, None),
            ("identity, gzip", Some("gzip"), Some("gzip")),
            ("gzip,zstd", None, Some("zstd")),
            ("identity", Some("gzip"), None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert(ACCEPTED, accepted.parse().unwrap());
            if let Some(asked) = asked {
                metadata.insert(WANTED, asked.parse().unwrap());
            }
            assert_eq!(wanted(&metadata), expected, "{accepted} {asked:?}");
        }
    }
}
