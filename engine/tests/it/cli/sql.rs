//! `habitue sql` without a person: one-off questions, files, pipes.

use super::{Place, command, habitue, habitue_reading};
use std::io::Read;
use std::process::Stdio;

const ORDERS: &str = "SELECT * FROM (VALUES (1, 'a, \"b\"', 1.50, NULL), \
    (20, 'c|d', -3.25, [1, 2])) AS t(id, name, amount, parts)";

#[test]
fn answers_come_in_every_format() {
    let answer = |format: &str| habitue(&["sql", "--format", format, "-c", ORDERS]).output();
    let table = "\
┌────┬────────┬────────┬────────┐
│ id │ name   │ amount │ parts  │
├────┼────────┼────────┼────────┤
│  1 │ a, \"b\" │    1.5 │ NULL   │
│ 20 │ c|d    │  -3.25 │ [1, 2] │
└────┴────────┴────────┴────────┘
";
    assert_eq!(answer("table"), table);
    assert_eq!(
        answer("csv"),
        "id,name,amount,parts\n1,\"a, \"\"b\"\"\",1.5,\n20,c|d,-3.25,\"[1,2]\"\n"
    );
    let first = r#"{"id":1,"name":"a, \"b\"","amount":1.5,"parts":null}"#;
    let second = r#"{"id":20,"name":"c|d","amount":-3.25,"parts":[1,2]}"#;
    assert_eq!(answer("json"), format!("[{first},{second}]\n"));
    assert_eq!(answer("ndjson"), format!("{first}\n{second}\n"));
    let markdown = "\
| id | name | amount | parts |
| ---: | --- | ---: | --- |
| 1 | a, \"b\" | 1.5 | NULL |
| 20 | c\\|d | -3.25 | [1, 2] |
";
    assert_eq!(answer("markdown"), markdown);
}

#[test]
fn without_a_database_there_is_an_empty_one() {
    let said = habitue(&["sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM events"]);
    assert_eq!(said.output(), "n\n0\n");
}

#[test]
fn questions_come_from_files_and_pipes() {
    let place = Place::with_events();
    let script = "-- two questions\nSELECT 1 AS one;\nSELECT count(*) AS n FROM events;\n";
    let file = place.file("questions.sql", script);
    let expected = "one\n1\nn\n5\n";
    let database = place.database();
    let from_file = habitue(&["sql", &database, "--format", "csv", "-f", &file]);
    assert_eq!(from_file.output(), expected);
    let from_pipe = habitue_reading(script, &["sql", &database, "--format", "csv"]);
    assert_eq!(from_pipe.output(), expected);
}

#[test]
fn an_unknown_segment_is_pointed_at_with_a_suggestion() {
    let place = Place::with_events();
    place.ask("CREATE SEGMENT vip AS SELECT customer_id FROM events WHERE amount > 50");
    let sql = "SELECT count(*) FROM segment('vpi')";
    let complaint = habitue(&["sql", &place.database(), "-c", sql]).complaint(1);
    let expected = "\
error: segment 'vpi' does not exist; did you mean 'vip'? (line 1, column 30)
  SELECT count(*) FROM segment('vpi')
                               ^
";
    assert_eq!(complaint, expected);
}

#[test]
fn errors_say_what_and_where_and_never_show_insides() {
    let complaints = [
        ("SELEC 1", "error: "),
        ("SELECT amuont FROM events", "did you mean 'amount'?"),
        ("SELECT * FROM evnets", "table 'evnets' does not exist"),
        ("SELECT cuont(*) FROM events", "function 'cuont' does not exist"),
        ("SELECT 1 +", "error: "),
        ("SELECT 'a' + INTERVAL '1' DAY", "error: "),
        ("DROP SEGMENT nobody", "segment 'nobody' does not exist"),
    ];
    for (sql, words) in complaints {
        let complaint = habitue(&["sql", "-c", sql]).complaint(1);
        assert!(complaint.contains(words), "{sql}: {complaint}");
        let insides = ["DataFusionError", "ParserError", "Err(", "Diagnostic", "stack backtrace"];
        assert!(!insides.iter().any(|inside| complaint.contains(inside)), "{sql}: {complaint}");
    }
}

#[test]
fn the_first_failure_ends_a_script_and_is_numbered() {
    let script = "SELECT 1 AS x; SELECT nothing; SELECT 2";
    let ran = habitue(&["sql", "--format", "csv", "-c", script]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "x\n1\n"));
    assert!(ran.err.starts_with("error: in statement 2: "), "{}", ran.err);
}

// If this fails, `habitue sql … | head` complains.
#[test]
fn a_reader_that_leaves_early_is_no_trouble() {
    let mut child = command(&["sql", "--format", "csv", "-c"])
        .arg("SELECT value FROM generate_series(1, 5000000)")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 16]).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert!(ended.status.success());
}

#[test]
fn a_query_that_needs_too_much_memory_fails_with_words() {
    let sql = "SELECT array_agg(value) FROM generate_series(1, 30000000)";
    let complaint = habitue(&["sql", "--memory-limit", "64MiB", "-c", sql]).complaint(4);
    assert!(complaint.contains("more memory than the limit"), "{complaint}");
}
