//! The names that a session knows, for completion and for `.tables` and `.schema`.

use crate::cli::shell::completion::Names;
use arrow::array::AsArray;
use habitue_sql::{Result, Session};

/// What `.tables` runs.
pub(crate) const TABLES: &str = "\
    SELECT table_schema AS schema, table_name AS name, lower(table_type) AS kind \
    FROM information_schema.tables WHERE table_schema <> 'information_schema' \
    ORDER BY table_schema <> 'main', table_schema, table_name";

const TABLE_NAMES: &str = "\
    SELECT CASE WHEN table_schema = 'main' THEN table_name \
        ELSE table_schema || '.' || table_name END AS name \
    FROM information_schema.tables";
const COLUMN_NAMES: &str = "SELECT DISTINCT column_name AS name FROM information_schema.columns \
    WHERE table_schema <> 'information_schema'";
const SEGMENT_NAMES: &str = "SELECT name FROM system.segments";

/// What `.schema` runs: the columns of all tables, or of `[schema.]table`.
pub(crate) fn schema_query(table: Option<&str>) -> String {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let wanted = match table.map(|table| table.split_once('.').unwrap_or(("main", table))) {
        Some((schema, table)) => {
            format!("table_schema = {} AND table_name = {}", text(schema), text(table))
        }
        None => "table_schema <> 'information_schema'".into(),
    };
    format!(
        "SELECT table_schema AS schema, table_name AS \"table\", column_name AS \"column\", \
         data_type AS \"type\" FROM information_schema.columns WHERE {wanted} \
         ORDER BY table_schema <> 'main', table_schema, table_name, ordinal_position"
    )
}

/// All names. What cannot be read is left out: completion must not fail.
pub(crate) async fn names(session: &Session) -> Names {
    let state = session.context().state();
    let mut functions: Vec<String> = Vec::new();
    functions.extend(state.scalar_functions().keys().cloned());
    functions.extend(state.aggregate_functions().keys().cloned());
    functions.extend(state.window_functions().keys().cloned());
    functions.extend(state.table_functions().keys().cloned());
    Names {
        tables: column(session, TABLE_NAMES).await.unwrap_or_default(),
        columns: column(session, COLUMN_NAMES).await.unwrap_or_default(),
        functions,
        segments: column(session, SEGMENT_NAMES).await.unwrap_or_default(),
    }
}

async fn column(session: &Session, sql: &str) -> Result<Vec<String>> {
    let cast = format!("SELECT arrow_cast(name, 'Utf8') FROM ({sql})");
    let batches = session.run(&cast).await?.collect().await?;
    let texts = batches.iter().filter_map(|batch| batch.column(0).as_string_opt::<i32>());
    Ok(texts.flat_map(|column| column.iter().flatten().map(str::to_owned)).collect())
}
