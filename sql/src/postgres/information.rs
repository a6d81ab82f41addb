//! Tables of `information_schema` as Postgres has them: with Postgres's names of types, and with the
//! tables about keys, which are empty. And `pg_settings`, with the settings that clients may know.

use crate::postgres::settings::ClientSettings;
use datafusion::sql::sqlparser::ast::{Ident, Statement, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// Tables with rows, and where these come from.
const TABLES: [(&str, &str); 2] = [
    (
        "columns",
        "SELECT current_database() AS table_catalog, n.nspname AS table_schema,
           c.relname AS table_name, a.attname AS column_name,
           CAST(a.attnum AS INT) AS ordinal_position, CAST(NULL AS TEXT) AS column_default,
           CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
           CASE WHEN t.typcategory = 'A' THEN 'ARRAY'
             ELSE format_type(a.atttypid, CAST(NULL AS INT)) END AS data_type,
           CAST(NULL AS INT) AS character_maximum_length,
           CAST(NULL AS INT) AS character_octet_length,
           CAST(NULL AS INT) AS numeric_precision, CAST(NULL AS INT) AS numeric_precision_radix,
           CAST(NULL AS INT) AS numeric_scale, CAST(NULL AS INT) AS datetime_precision,
           CAST(NULL AS TEXT) AS interval_type, CAST(NULL AS TEXT) AS collation_name,
           CAST(NULL AS TEXT) AS domain_schema, CAST(NULL AS TEXT) AS domain_name,
           current_database() AS udt_catalog, 'pg_catalog' AS udt_schema, t.typname AS udt_name,
           CAST(a.attnum AS TEXT) AS dtd_identifier, 'NO' AS is_identity,
           CAST(NULL AS TEXT) AS identity_generation, 'NEVER' AS is_generated,
           CAST(NULL AS TEXT) AS generation_expression, 'NO' AS is_updatable
         FROM pg_catalog.pg_attribute a
           JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         WHERE a.attnum > 0",
    ),
    (
        "tables",
        "SELECT current_database() AS table_catalog, n.nspname AS table_schema,
           c.relname AS table_name,
           CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'BASE TABLE' END AS table_type,
           'NO' AS is_insertable_into, 'NO' AS is_typed
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
    ),
];

/// Tables without rows, and their columns that clients ask for.
const EMPTY: [(&str, &[&str]); 8] = [
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    ("check_constraints", &["constraint_schema", "constraint_name", "check_clause"]),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    ("triggers", &["trigger_schema", "trigger_name", "event_object_schema", "event_object_table"]),
    (
        "table_privileges",
        &["grantor", "grantee", "table_schema", "table_name", "privilege_type", "is_grantable"],
    ),
];

/// Columns of `pg_settings` of which nothing is known.
const OF_SETTINGS: [&str; 15] = [
    "unit",
    "category",
    "short_desc",
    "extra_desc",
    "context",
    "vartype",
    "source",
    "min_val",
    "max_val",
    "enumvals",
    "boot_val",
    "reset_val",
    "sourcefile",
    "sourceline",
    "pending_restart",
];

/// Puts what they are made of in place of these tables.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Tables);
}

struct Tables;

impl VisitorMut for Tables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(better) = better(factor) {
            *factor = better;
        }
        ControlFlow::Continue(())
    }
}

fn better(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let (table, schemas) = parts.split_last()?;
    let schema = schemas.last().map_or("pg_catalog".to_owned(), |name| name.value.to_lowercase());
    let table = table.value.to_lowercase();
    let rows = match (schema.as_str(), table.as_str()) {
        ("pg_catalog", "pg_settings") => settings(),
        ("information_schema", table) => information(table)?,
        _ => return None,
    };
    let alias = alias.as_ref().map_or(table, ToString::to_string);
    let text = format!("({rows}) AS {}", alias.trim_start_matches("AS "));
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_table_factor().ok()
}

/// What a table of `information_schema` is made of.
fn information(table: &str) -> Option<String> {
    let rows = TABLES.iter().find(|(name, _)| *name == table).map(|(_, rows)| (*rows).to_owned());
    rows.or_else(|| {
        let (_, columns) = EMPTY.iter().find(|(name, _)| *name == table)?;
        Some(format!("SELECT {} WHERE false", nulls(columns)))
    })
}

fn settings() -> String {
    let names: Vec<String> = ClientSettings::names().map(|name| format!("('{name}')")).collect();
    format!(
        "SELECT name, current_setting(name) AS setting, {} FROM (VALUES {}) AS known(name)",
        nulls(&OF_SETTINGS),
        names.join(", ")
    )
}

fn nulls(columns: &[&str]) -> String {
    let columns: Vec<String> =
        columns.iter().map(|column| format!("CAST(NULL AS TEXT) AS {column}")).collect();
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        rewrite(&mut statement);
        statement.to_string()
    }

    #[test]
    fn every_table_can_be_read() {
        for name in TABLES.iter().map(|(name, _)| name).chain(EMPTY.iter().map(|(name, _)| name)) {
            let sql = rewritten(&format!("SELECT * FROM information_schema.{name}"));
            assert!(!sql.contains("information_schema") && sql.ends_with(name), "{sql}");
        }
    }

    #[test]
    fn an_alias_is_kept_and_other_tables_stay() {
        let sql = rewritten("SELECT a FROM information_schema.sequences AS s");
        assert!(sql.ends_with("WHERE false) AS s"), "{sql}");
        let sql = rewritten("SELECT setting FROM pg_settings WHERE name = 'max_index_keys'");
        assert!(sql.contains("('max_index_keys')"), "{sql}");
        assert!(sql.contains("AS known (name)) AS pg_settings WHERE"), "{sql}");
        for kept in ["SELECT 1 FROM columns", "SELECT 1 FROM information_schema.schemata AS s"] {
            assert_eq!(rewritten(kept), kept);
        }
    }
}
