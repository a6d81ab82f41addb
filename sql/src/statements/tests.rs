//! Each statement is read as it is written, and refused with the place of its first wrong word.

use super::*;
use crate::statements::create_segment::Replace;
use crate::statements::drop_segment::{Missing, Users};
use habitue_storage::catalog::SegmentKind;

fn parsed(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap();
    assert_eq!(statements.len(), 1);
    statements.pop().unwrap().statement
}

#[test]
fn a_segment_keeps_the_text_of_its_query() {
    let sql = "create or replace static segment VIP comment 'big' as\n SELECT customer_id /* all */ FROM events ; ";
    let Statement::CreateSegment(statement) = parsed(sql) else { panic!("{sql}") };
    assert_eq!(statement.name, "vip");
    assert_eq!(statement.replace, Replace::Yes);
    assert_eq!(statement.kind, SegmentKind::Static);
    assert_eq!(statement.comment.as_deref(), Some("big"));
    assert_eq!(statement.sql, "SELECT customer_id /* all */ FROM events");
}

#[test]
fn a_quoted_name_keeps_its_letters() {
    let Statement::DropSegment(statement) = parsed(r#"DROP SEGMENT IF EXISTS "Big VIP" CASCADE"#)
    else {
        panic!("no DROP SEGMENT")
    };
    assert_eq!(statement.name, "Big VIP");
    assert_eq!((statement.missing, statement.users), (Missing::Ignore, Users::Drop));
}

#[test]
fn statements_of_the_engine_are_handed_over() {
    let sql = "SELECT 1; EXPLAIN SELECT 2; CREATE TABLE t AS SELECT 3; INSERT INTO t VALUES (4)";
    let statements = parse(sql).unwrap();
    assert_eq!(statements.len(), 4);
    assert!(statements.iter().all(|found| matches!(found.statement, Statement::Engine(_))));
}

#[test]
fn inserts_into_events_are_ours_however_the_table_is_called() {
    for table in ["events", "main.events", "habitue.main.EVENTS"] {
        let sql = format!("INSERT INTO {table} (ts, event) SELECT now(), 'x'");
        let Statement::InsertEvents(statement) = parsed(&sql) else { panic!("{sql}") };
        assert_eq!(statement.columns, Some(vec!["ts".to_owned(), "event".to_owned()]));
    }
}

#[test]
fn a_missing_word_is_named_with_its_place() {
    let error = parse("CREATE SEGMENT vip SELECT 1").unwrap_err().to_string();
    assert_eq!(error, "Expected: AS, found: SELECT (line 1, column 20)");
    let error = parse("SELECT 1;\nREFRESH vip").unwrap_err().to_string();
    assert!(error.contains("SEGMENT name or ALL SEGMENTS"), "{error}");
    assert!(error.contains("line 2, column 9"), "{error}");
}

#[test]
fn explain_shows_the_query_of_a_segment() {
    let Statement::Explain(explain) = parsed("EXPLAIN CREATE SEGMENT a AS SELECT 1") else {
        panic!("no EXPLAIN")
    };
    assert_eq!((explain.opening, explain.query.as_str()), ("EXPLAIN", "SELECT 1"));
}

#[test]
fn errors_of_a_later_statement_have_the_place_in_the_whole_text() {
    let statements = parse("SELECT a;\nSELECT a").unwrap();
    assert_eq!(statements[1].text, "         \nSELECT a");
}

#[test]
fn rules_of_a_namespace_are_read() {
    let sql = "ALTER IDENTITY NAMESPACE device_id SET (unique = true, max_per_customer = none, \
               max_degree = 'user_id 3', normalise = 'trim, lowercase', tier = 2, blocked = 'x, y')";
    let Statement::AlterIdentityNamespace(statement) = parsed(sql) else { panic!("{sql}") };
    assert_eq!(statement.options.len(), 6);
    let error = parse("ALTER IDENTITY NAMESPACE a SET (uniqe = true)").unwrap_err();
    assert!(error.to_string().contains("did you mean 'unique'?"));
}
