"""Arrow Flight SQL as Python uses it: ADBC, pyarrow, pandas and polars, with exact answers.

Runs against a server over the events of ../shop.ndjson:

    HABITUE_FLIGHT=grpc://127.0.0.1:8815 HABITUE_PASSWORD=... HABITUE_READER_TOKEN=... flight.py

The users are `writer` and `reader`; the token is a reader's. Ends with an error at the first answer
that is another one.
"""

import datetime
import decimal
import os
import threading
import time

import adbc_driver_flightsql.dbapi as flight_sql
import pandas
import polars
import pyarrow
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions
from adbc_driver_manager import Error

URI = os.environ["HABITUE_FLIGHT"]
PASSWORD = os.environ["HABITUE_PASSWORD"]
TOKEN = os.environ["HABITUE_READER_TOKEN"]
EVENTS = [
    ("purchase", 3, decimal.Decimal("105.5000")),
    ("refund", 1, decimal.Decimal("-5.5000")),
    ("signup", 1, None),
    ("visit", 3, None),
]
BY_EVENT = "SELECT event, count(*) AS n, sum(amount) AS money FROM events GROUP BY event ORDER BY event"


def connect(user="writer", **options):
    arguments = {"username": user, "password": PASSWORD, **options}
    return flight_sql.connect(URI, db_kwargs=arguments, autocommit=True)


def rows(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def refused(connection, sql, words):
    try:
        rows(connection, sql)
    except Error as error:
        assert words in str(error), f"{sql}: {error}"
        return
    raise AssertionError(f"{sql} was not refused")


def a_query_answers_rows_of_python():
    with connect() as connection:
        assert rows(connection, BY_EVENT) == EVENTS
        assert rows(connection, "SELECT * FROM events WHERE false") == []
        first = rows(connection, "SELECT ts FROM events ORDER BY ts LIMIT 1")
        utc = datetime.timezone.utc
        assert first[0][0].astimezone(utc) == datetime.datetime(2026, 1, 1, 10, tzinfo=utc), first


def an_answer_is_an_arrow_table():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(BY_EVENT)
        table = cursor.fetch_arrow_table()
        assert table.schema.field("event").type == pyarrow.string(), table.schema
        assert not table.schema.field("event").nullable
        assert table.schema.field("money").type == pyarrow.decimal128(28, 4), table.schema
        assert table.column("n").to_pylist() == [3, 1, 1, 3]


def pandas_reads_a_query():
    with connect() as connection:
        frame = pandas.read_sql(BY_EVENT, connection)
    assert frame["event"].tolist() == ["purchase", "refund", "signup", "visit"], frame
    assert frame["n"].sum() == 8


def polars_reads_a_query():
    with connect() as connection:
        frame = polars.read_database(BY_EVENT, connection)
    assert frame["n"].to_list() == [3, 1, 1, 3], frame
    assert frame.schema["money"] == polars.Decimal(28, 4), frame.schema


def parameters_take_their_values():
    with connect() as connection:
        sql = "SELECT count(*) FROM events WHERE event = ? AND amount >= ?"
        assert rows(connection, sql, ("purchase", 30)) == [(2,)]
        assert rows(connection, sql, ("purchase", decimal.Decimal("70.00"))) == [(1,)]
        sql = "SELECT count(*) FROM events WHERE ts < $2 AND event = $1"
        day = datetime.datetime(2026, 2, 1, tzinfo=datetime.timezone.utc)
        assert rows(connection, sql, ("visit", day)) == [(2,)]


def the_catalog_is_a_tree():
    with connect() as connection:
        tree = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in tree] == ["habitue"]
        schemas = {schema["db_schema_name"]: schema for schema in tree[0]["catalog_db_schemas"]}
        assert {"main", "system", "information_schema"} <= set(schemas)
        tables = {table["table_name"]: table for table in schemas["main"]["db_schema_tables"]}
        assert tables["events"]["table_type"] == "BASE TABLE", tables["events"]
        assert tables["customers"]["table_type"] == "VIEW"
        columns = [column["column_name"] for column in tables["events"]["table_columns"]]
        assert columns[:4] == ["event_id", "ts", "received_at", "event"], columns
        for depth in ["catalogs", "db_schemas", "tables"]:
            connection.adbc_get_objects(depth=depth).read_all()
        found = connection.adbc_get_objects(
            depth="tables", db_schema_filter="main", table_name_filter="ev%", table_types_filter=["TABLE"]
        ).read_all()
        found = found.to_pylist()[0]["catalog_db_schemas"][0]["db_schema_tables"]
        assert [table["table_name"] for table in found] == ["events"], found
        assert connection.adbc_get_table_types() == ["BASE TABLE", "VIEW"]
        assert "customer_id" in connection.adbc_get_table_schema("events").names
        assert connection.adbc_get_info()["vendor_name"] == "Habitué"
        assert connection.adbc_current_catalog == "habitue"
        assert connection.adbc_current_db_schema == "main"


def new_events(count, start=0):
    return pyarrow.table(
        {
            "event_id": [f"py-{number}" for number in range(start, start + count)],
            "ts": pyarrow.array([datetime.datetime(2026, 4, 1)] * count, pyarrow.timestamp("us", "UTC")),
            "event": ["visit"] * count,
            "user_id": ["u-python"] * count,
            "shoe_size": [42] * count,
        }
    )


def ingested_events_are_one_commit_and_never_two():
    newest = "SELECT max(version) FROM system.commits"
    mine = "SELECT count(*), min(properties->>'shoe_size') FROM events WHERE user_id = 'u-python'"
    with connect() as connection, connection.cursor() as cursor:
        before = rows(connection, newest)[0][0]
        assert cursor.adbc_ingest("events", new_events(5000), mode="append") == 5000
        assert rows(connection, newest) == [(before + 1,)]
        assert cursor.adbc_ingest("events", new_events(5000), mode="append") == 0
        reader = pyarrow.RecordBatchReader.from_batches(
            new_events(1).schema, new_events(3000, 4000).to_batches(max_chunksize=100)
        )
        assert cursor.adbc_ingest("events", reader, mode="append") == 2000
        assert rows(connection, newest) == [(before + 2,)]
        assert rows(connection, mine) == [(7000, "42")]


def many_rows_of_values_are_one_commit():
    newest = "SELECT max(version) FROM system.commits"
    with connect() as connection, connection.cursor() as cursor:
        before = rows(connection, newest)[0][0]
        sql = "INSERT INTO events (event_id, ts, event, user_id) VALUES (?, ?, ?, ?)"
        values = [(f"many-{n}", "2026-05-01T00:00:00Z", "visit", "u-many") for n in range(100)]
        cursor.executemany(sql, values)
        assert rows(connection, newest) == [(before + 1,)]
        assert rows(connection, "SELECT count(*) FROM events WHERE user_id = 'u-many'") == [(100,)]


def an_uploaded_table_can_be_joined():
    prices = pyarrow.table({"event": ["purchase", "visit"], "weight": [10, 1]})
    with connect() as connection, connection.cursor() as cursor:
        assert cursor.adbc_ingest("weights", prices, mode="create", temporary=True) == 2
        sql = "SELECT sum(weight) FROM events JOIN weights USING (event) WHERE event_id LIKE 'e%'"
        assert rows(connection, sql) == [(33,)]
        with connect() as other:
            refused(other, "SELECT * FROM weights", "weights")


def statements_of_our_own_run_once():
    with connect() as connection:
        sql = "CREATE OR REPLACE SEGMENT payers AS SELECT customer_id FROM events WHERE amount > 0"
        assert len(rows(connection, sql)) == 1
        versions = "SELECT count(*) FROM system.segment_versions WHERE name = 'payers'"
        assert rows(connection, versions) == [(1,)]
        assert rows(connection, "REFRESH SEGMENT payers")[0][:3] == ("payers", 2, 2)
        assert rows(connection, "SELECT count(*) FROM segment('payers')") == [(2,)]
        with connection.cursor() as cursor:
            cursor.adbc_prepare("DROP SEGMENT payers")
            cursor.execute("DROP SEGMENT payers")
        segments = "SELECT count(*) FROM system.segments WHERE name = 'payers'"
        assert rows(connection, segments) == [(0,)]


def settings_stay_in_their_connection():
    with connect() as one, connect() as other:
        rows(one, "SET habitue.as_of_version = 1")
        assert rows(one, "SELECT count(*) FROM events") == [(0,)]
        assert rows(other, "SELECT count(*) > 0 FROM events") == [(True,)]


def a_long_lived_token_reads():
    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    with flight_sql.connect(URI, db_kwargs=header, autocommit=True) as connection:
        assert rows(connection, "SELECT count(*) FROM events WHERE event = 'refund'") == [(1,)]
        refused(connection, "SET habitue.as_of_version = 1", "session")
        refused(connection, "CREATE SEGMENT s AS SELECT customer_id FROM events", "not allowed")
    header[DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value] = "true"
    with flight_sql.connect(URI, db_kwargs=header, autocommit=True) as connection:
        rows(connection, "SELECT 1")
        rows(connection, "SET habitue.as_of_version = 1")
        assert rows(connection, "SELECT count(*) FROM events") == [(0,)]


def strangers_are_refused():
    for arguments in [
        {},
        {"username": "writer", "password": "wrong"},
        {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer guess"},
    ]:
        try:
            with flight_sql.connect(URI, db_kwargs=arguments, autocommit=True) as connection:
                rows(connection, "SELECT 1")
        except Error as error:
            assert "UNAUTHENTICATED" in str(error).upper(), error
            continue
        raise AssertionError(f"{list(arguments)} was let in")


def errors_say_what_and_where():
    with connect() as connection:
        refused(connection, "SELECT evnt FROM events", "did you mean 'event'?")
        refused(connection, "SELECT * FROM evnts", "table 'evnts' does not exist")
        refused(connection, "SELECT * FROM '/etc/passwd'", "")


def a_cancelled_query_ends():
    endless = (
        "SELECT sum(a.value * b.value) FROM generate_series(1, 10000000) a "
        "CROSS JOIN generate_series(1, 10000000) b"
    )
    with connect() as connection, connection.cursor() as cursor:
        timer = threading.Timer(0.5, cursor.adbc_cancel)
        timer.start()
        begun = time.monotonic()
        try:
            cursor.execute(endless)
            cursor.fetchall()
        except Error as error:
            assert "cancel" in str(error).lower(), error
        else:
            raise AssertionError("it was not cancelled")
        assert time.monotonic() - begun < 10
    with connect() as connection:
        assert rows(connection, "SELECT 1") == [(1,)]


def a_large_answer_arrives_whole():
    sql = "SELECT value AS n, 'x' || value AS text FROM generate_series(1, 1000000)"
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        total = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        assert total == 1_000_000, total
        option = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value + "flight.ipc_compression"
        connection.adbc_connection.set_options(**{option: "zstd"})
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
        # In whatever order: nobody asked for one.
        texts = set(table.column("text").to_pylist())
        assert len(texts) == table.num_rows == 1_000_000, (len(texts), table.num_rows)
        assert {"x1", "x1000000"} <= texts


CHECKS = [
    a_query_answers_rows_of_python,
    an_answer_is_an_arrow_table,
    pandas_reads_a_query,
    polars_reads_a_query,
    parameters_take_their_values,
    the_catalog_is_a_tree,
    ingested_events_are_one_commit_and_never_two,
    many_rows_of_values_are_one_commit,
    an_uploaded_table_can_be_joined,
    statements_of_our_own_run_once,
    settings_stay_in_their_connection,
    a_long_lived_token_reads,
    strangers_are_refused,
    errors_say_what_and_where,
    a_cancelled_query_ends,
    a_large_answer_arrives_whole,
]

if __name__ == "__main__":
    for check in CHECKS:
        begun = time.monotonic()
        check()
        print(f"ok {check.__name__} ({time.monotonic() - begun:.2f} s)", flush=True)
