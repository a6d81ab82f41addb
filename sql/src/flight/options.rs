//! Session options: `catalog`, `schema`, how answers are sent, and whatever `SET` can set.

use crate::error::{Error, Result};
use crate::flight::messages::{
    OptionError, OptionErrorKind, OptionValue, SessionOptionValue, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use crate::flight::session::ClientSession;
use crate::flight::wire::Dictionaries;
use crate::session::{Session, Settings};
use arrow::ipc::CompressionType;
use datafusion::common::config::ExtensionOptions;
use std::collections::HashMap;

/// The catalog of names without one.
const CATALOG: &str = "catalog";
/// The schema of names without one.
const SCHEMA: &str = "schema";
/// `none`, `lz4` or `zstd`: how the buffers of answers are compressed.
const IPC_COMPRESSION: &str = "flight.ipc_compression";
/// Whether dictionary columns are sent as such.
const DICTIONARIES: &str = "flight.dictionaries";

const DEFAULT_CATALOG: &str = "datafusion.catalog.default_catalog";
const DEFAULT_SCHEMA: &str = "datafusion.catalog.default_schema";

/// Why an option cannot be set, in the protocol's few words.
type Refused = OptionErrorKind;

/// Sets what can be set, and says of the rest why not.
pub(super) async fn set(
    client: &ClientSession,
    request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    let mut options: Vec<_> = request.session_options.into_iter().collect();
    // `catalog` before `schema`, which is looked up in it.
    options.sort_by(|one, other| one.0.cmp(&other.0));
    let mut errors = HashMap::new();
    for (name, value) in options {
        if let Err(kind) = set_one(client, &name, value.value).await {
            errors.insert(name, OptionError { kind: kind as i32 });
        }
    }
    SetSessionOptionsResult { errors }
}

async fn set_one(
    client: &ClientSession,
    name: &str,
    value: Option<OptionValue>,
) -> Result<(), Refused> {
    match name {
        CATALOG => place(&client.session, DEFAULT_CATALOG, crate::session::CATALOG, value).await,
        SCHEMA => place(&client.session, DEFAULT_SCHEMA, crate::session::MAIN, value).await,
        IPC_COMPRESSION => {
            let compression = compression(value)?;
            client.change_wire(|wire| wire.compression = compression);
            Ok(())
        }
        DICTIONARIES => {
            let kept = match flag(value)? {
                true => Dictionaries::Kept,
                false => Dictionaries::Expanded,
            };
            client.change_wire(|wire| wire.dictionaries = kept);
            Ok(())
        }
        other => set_setting(&client.session, other, value).await,
    }
}

/// Where names without a catalog or schema are looked up: it must exist.
async fn place(
    session: &Session,
    setting: &str,
    default: &str,
    value: Option<OptionValue>,
) -> Result<(), Refused> {
    let wanted = match value {
        None => default.to_owned(),
        Some(OptionValue::Text(name)) => name,
        Some(_) => return Err(Refused::InvalidValue),
    };
    let query = session.query().await.map_err(|_| Refused::Error)?;
    let state = query.context().state();
    let catalogs = state.catalog_list();
    let exists = if setting == DEFAULT_CATALOG {
        catalogs.catalog(&wanted).is_some()
    } else {
        let catalog = &state.config_options().catalog.default_catalog;
        catalogs.catalog(catalog).is_some_and(|catalog| catalog.schema(&wanted).is_some())
    };
    if !exists {
        return Err(Refused::InvalidValue);
    }
    run_set(session, setting, &wanted).await
}

fn compression(value: Option<OptionValue>) -> Result<Option<CompressionType>, Refused> {
    match value {
        None => Ok(None),
        Some(OptionValue::Text(name)) => match name.as_str() {
            "none" => Ok(None),
            "lz4" => Ok(Some(CompressionType::LZ4_FRAME)),
            "zstd" => Ok(Some(CompressionType::ZSTD)),
            _ => Err(Refused::InvalidValue),
        },
        Some(_) => Err(Refused::InvalidValue),
    }
}

/// Drivers that know only texts write flags as such.
fn flag(value: Option<OptionValue>) -> Result<bool, Refused> {
    match value {
        None => Ok(false),
        Some(OptionValue::Flag(on)) => Ok(on),
        Some(OptionValue::Text(text)) => text.parse().map_err(|_| Refused::InvalidValue),
        Some(_) => Err(Refused::InvalidValue),
    }
}

/// A setting of `SET`; without a value it is `RESET`.
async fn set_setting(
    session: &Session,
    name: &str,
    value: Option<OptionValue>,
) -> Result<(), Refused> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._".contains(letter);
    if !name.contains('.') || !name.chars().all(is_name) {
        return Err(Refused::InvalidName);
    }
    let text = match value {
        None => {
            let reset = session.run(&format!("RESET {name}")).await;
            return reset.map(drop).map_err(|error| refusal(&error));
        }
        Some(OptionValue::Text(text)) => text,
        Some(OptionValue::Flag(flag)) => flag.to_string(),
        Some(OptionValue::Number(number)) => number.to_string(),
        Some(OptionValue::Double(number)) => number.to_string(),
        Some(OptionValue::Texts(texts)) => texts.values.join(","),
    };
    run_set(session, name, &text).await
}

async fn run_set(session: &Session, name: &str, value: &str) -> Result<(), Refused> {
    let value = value.replace('\'', "''");
    let set = session.run(&format!("SET {name} = '{value}'")).await;
    set.map(drop).map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> Refused {
    match error {
        Error::Unknown { .. } => Refused::InvalidName,
        Error::Invalid { .. } => Refused::InvalidValue,
        Error::Query { message, .. } if message.contains("not found") => Refused::InvalidName,
        Error::Query { .. } => Refused::InvalidValue,
        _ => Refused::Error,
    }
}

/// The options as they are.
pub(super) fn get(client: &ClientSession) -> HashMap<String, SessionOptionValue> {
    let state = client.session.context().state();
    let config = state.config_options();
    let wire = client.wire();
    let compression = match wire.compression {
        Some(CompressionType::LZ4_FRAME) => "lz4",
        Some(CompressionType::ZSTD) => "zstd",
        _ => "none",
    };
    let kept = wire.dictionaries == Dictionaries::Kept;
    let mut found = HashMap::from([
        (CATALOG.to_owned(), config.catalog.default_catalog.as_str().into()),
        (SCHEMA.to_owned(), config.catalog.default_schema.as_str().into()),
        (IPC_COMPRESSION.to_owned(), compression.into()),
        (DICTIONARIES.to_owned(), kept.into()),
    ]);
    for entry in Settings::of(config).entries() {
        found.insert(entry.key, entry.value.unwrap_or_default().as_str().into());
    }
    found
}
