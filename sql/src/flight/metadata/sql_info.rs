//! GetSqlInfo: what the server can do, filled completely: some clients ask once for all of it.

use crate::session::Session;
use arrow_flight::error::Result;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, SqlSupportsConvert, SqlTransactionIsolationLevel,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What of it depends on how the server was started.
#[derive(Clone, Copy, Debug)]
pub(in crate::flight) struct ServerFacts {
    pub(in crate::flight) connections_max: usize,
    pub(in crate::flight) statements_max: usize,
    pub(in crate::flight) session_idle_max: Duration,
}

/// Words that our statements have and SQL has not.
const KEYWORDS: [&str; 10] = [
    "SEGMENT",
    "SEGMENTS",
    "REFRESH",
    "IDENTITY",
    "IDENTITIES",
    "NAMESPACE",
    "LINK",
    "UNLINK",
    "REBUILD",
    "EXPLAIN",
];
/// `version` and `format` of the Arrow columns on the wire.
const ARROW_FORMAT_VERSION: &str = "1.5";
/// SQL_TRANSACTION_NONE, the only isolation level of a server without transactions.
const ISOLATION_NONE_ONLY: i32 = 1;
/// GROUP BY may name columns that are not selected, and further ones.
const GROUP_BY_ALL: i32 = 0b11;
/// Minimum and core of the ODBC grammar.
const GRAMMAR_CORE: i32 = 0b11;
/// Entry level of SQL-92.
const ANSI92_ENTRY: i32 = 0b1;
/// Subqueries in comparisons, in EXISTS and in IN.
const SUBQUERIES: i32 = 0b111;
/// UNION and UNION ALL.
const UNIONS: i32 = 0b11;
/// Results are read forward only, and cannot be updated.
const FORWARD_ONLY: i32 = 0b10;
const READ_ONLY: i32 = 0b10;

/// Everything that GetSqlInfo can ask for.
pub(in crate::flight) fn sql_info(session: &Session, facts: ServerFacts) -> Result<SqlInfoData> {
    let mut builder = SqlInfoDataBuilder::new();
    server(&mut builder, facts);
    names(&mut builder);
    grammar(&mut builder);
    functions(&mut builder, session);
    limits(&mut builder, facts);
    transactions(&mut builder);
    builder.build()
}

fn server(builder: &mut SqlInfoDataBuilder, facts: ServerFacts) {
    builder.append(SqlInfo::FlightSqlServerName, "Habitué");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_FORMAT_VERSION);
    builder.append(SqlInfo::FlightSqlServerReadOnly, false);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    builder.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    let transactions = SqlSupportedTransaction::None as i32;
    builder.append(SqlInfo::FlightSqlServerTransaction, transactions);
    builder.append(SqlInfo::FlightSqlServerCancel, true);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    builder.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    let idle = i32::try_from(facts.session_idle_max.as_millis()).unwrap_or(i32::MAX);
    builder.append(SqlInfo::FlightSqlServerStatementTimeout, idle);
    builder.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn names(builder: &mut SqlInfoDataBuilder) {
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    // What is quoted keeps its case and differs by it, for which the protocol has no number.
    let as_written = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    builder.append(SqlInfo::SqlIdentifierCase, lower);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    builder.append(SqlInfo::SqlQuotedIdentifierCase, as_written);
    builder.append(SqlInfo::SqlAllTablesAreSelectable, true);
    builder.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    builder.append(SqlInfo::SqlKeywords, &KEYWORDS[..]);
    builder.append(SqlInfo::SqlSearchStringEscape, "\\");
    builder.append(SqlInfo::SqlExtraNameCharacters, "$");
    builder.append(SqlInfo::SqlSchemaTerm, "schema");
    builder.append(SqlInfo::SqlProcedureTerm, "");
    builder.append(SqlInfo::SqlCatalogTerm, "catalog");
    builder.append(SqlInfo::SqlCatalogAtStart, true);
    builder.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    builder.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
}

fn grammar(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, true);
    builder.append(SqlInfo::SqlSupportsColumnAliasing, true);
    builder.append(SqlInfo::SqlNullPlusNullIsNull, true);
    builder.append(SqlInfo::SqlSupportsConvert, conversions());
    builder.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    builder.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    builder.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    builder.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    builder.append(SqlInfo::SqlSupportedGroupBy, GROUP_BY_ALL);
    builder.append(SqlInfo::SqlSupportsLikeEscapeClause, false);
    builder.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    builder.append(SqlInfo::SqlSupportedGrammar, GRAMMAR_CORE);
    builder.append(SqlInfo::SqlAnsi92SupportedLevel, ANSI92_ENTRY);
    builder.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let joins = SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32;
    builder.append(SqlInfo::SqlOuterJoinsSupportLevel, joins);
    builder.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    builder.append(SqlInfo::SqlSelectForUpdateSupported, false);
    builder.append(SqlInfo::SqlStoredProceduresSupported, false);
    builder.append(SqlInfo::SqlSupportedSubqueries, SUBQUERIES);
    builder.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    builder.append(SqlInfo::SqlSupportedUnions, UNIONS);
    builder.append(SqlInfo::SqlNamedParametersSupported, false);
    builder.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    builder.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// What CAST takes: numbers and texts to each other, times to times and texts.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as Type;
    let numbers = [
        Type::SqlConvertBigint,
        Type::SqlConvertBit,
        Type::SqlConvertDecimal,
        Type::SqlConvertFloat,
        Type::SqlConvertInteger,
        Type::SqlConvertNumeric,
        Type::SqlConvertReal,
        Type::SqlConvertSmallint,
        Type::SqlConvertTinyint,
    ];
    let texts = [Type::SqlConvertChar, Type::SqlConvertLongvarchar, Type::SqlConvertVarchar];
    let times = [Type::SqlConvertDate, Type::SqlConvertTime, Type::SqlConvertTimestamp];
    let numbers_of = |types: &[Type]| types.iter().map(|one| *one as i32).collect::<Vec<_>>();
    let all = numbers_of(&[&numbers[..], &texts[..], &times[..]].concat());
    let mut conversions = BTreeMap::new();
    for number in numbers_of(&numbers) {
        conversions.insert(number, numbers_of(&[&numbers[..], &texts[..]].concat()));
    }
    for text in numbers_of(&texts) {
        conversions.insert(text, all.clone());
    }
    let (date, time) = (Type::SqlConvertDate as i32, Type::SqlConvertTime as i32);
    let timestamp = Type::SqlConvertTimestamp as i32;
    conversions.insert(date, [&[date, timestamp], &numbers_of(&texts)[..]].concat());
    conversions.insert(time, [&[time], &numbers_of(&texts)[..]].concat());
    conversions.insert(timestamp, [&[date, time, timestamp], &numbers_of(&texts)[..]].concat());
    conversions
}

/// The functions that this build really has, by the chapter of their documentation.
fn functions(builder: &mut SqlInfoDataBuilder, session: &Session) {
    let mut by_info: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let infos = [
        SqlInfo::SqlNumericFunctions,
        SqlInfo::SqlStringFunctions,
        SqlInfo::SqlDatetimeFunctions,
        SqlInfo::SqlSystemFunctions,
    ];
    for info in infos {
        by_info.entry(info as u32).or_default();
    }
    for (name, function) in session.context().state().scalar_functions() {
        let chapter = function.documentation().map(|page| page.doc_section.label);
        let info = match chapter {
            Some("Math Functions") => SqlInfo::SqlNumericFunctions,
            Some("String Functions" | "Regular Expression Functions") => {
                SqlInfo::SqlStringFunctions
            }
            Some("Time and Date Functions") => SqlInfo::SqlDatetimeFunctions,
            _ => SqlInfo::SqlSystemFunctions,
        };
        by_info.entry(info as u32).or_default().insert(name.to_uppercase());
    }
    for (info, names) in by_info {
        builder.append(info, names.into_iter().collect::<Vec<_>>());
    }
}

/// Where there is no limit the answer is 0, as the protocol wants it.
fn limits(builder: &mut SqlInfoDataBuilder, facts: ServerFacts) {
    let unlimited = [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ];
    for info in unlimited {
        builder.append(info, 0_i64);
    }
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    builder.append(SqlInfo::SqlMaxConnections, count(facts.connections_max));
    builder.append(SqlInfo::SqlMaxStatements, count(facts.statements_max));
    builder.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

/// There are none: each statement is a commit of its own.
fn transactions(builder: &mut SqlInfoDataBuilder) {
    let none = SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    builder.append(SqlInfo::SqlDefaultTransactionIsolation, none);
    builder.append(SqlInfo::SqlTransactionsSupported, false);
    builder.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, ISOLATION_NONE_ONLY);
    builder.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    builder.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    builder.append(SqlInfo::SqlSavepointsSupported, false);
    builder.append(SqlInfo::SqlBatchUpdatesSupported, true);
    builder.append(SqlInfo::SqlSupportedResultSetTypes, FORWARD_ONLY);
    let unspecified = SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified;
    builder.append(unspecified, READ_ONLY);
    let forward = SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly;
    builder.append(forward, READ_ONLY);
    let sensitive = SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive;
    builder.append(sensitive, 0_i32);
    let insensitive = SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive;
    builder.append(insensitive, 0_i32);
}
