//! What clients ask before they ask for data: catalogs, tables, types, abilities.

mod columns;
mod keys;
mod question;
mod sql_info;
mod tables;
mod xdbc_types;

use keys::{foreign_keys_schema, primary_keys_schema};
pub(super) use question::Question;
pub(super) use sql_info::{ServerFacts, sql_info};
use tables::{TABLE_TYPES, catalogs, schemas, tables};
pub(super) use xdbc_types::xdbc_types;
