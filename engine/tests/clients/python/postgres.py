"""What Python programs do over the Postgres protocol: psycopg 3, psycopg 2, SQLAlchemy and
pandas.

Usage: postgres.py HOST PORT USER PASSWORD
"""

import datetime
import decimal
import sys
import threading

import pandas
import psycopg
import psycopg2
import sqlalchemy

host, port, user, password = sys.argv[1:5]
place = dict(host=host, port=port, user=user, password=password, dbname="habitue")

LONG = "SELECT count(*) FROM generate_series(1, 10000000000000) AS a(n) WHERE n % 7 = 3"


def check(holds, what):
    if not holds:
        raise SystemExit(f"failed: {what}")
    print("ok", what)


def psycopg3():
    with psycopg.connect(**place) as connection:
        check(connection.info.server_version == 160006, "psycopg: version")
        rows = connection.execute(
            "SELECT event_id, customer_id, amount, ts FROM events WHERE event = %s ORDER BY ts",
            ["purchase"],
        ).fetchall()
        check(rows and isinstance(rows[0][1], int), "psycopg: rows")
        check(isinstance(rows[0][2], decimal.Decimal), "psycopg: amounts are decimals")
        check(rows[0][3].tzinfo is not None, "psycopg: times have a zone")
        again = connection.execute(
            "SELECT count(*) FROM events WHERE ts < %s AND amount >= %s",
            [datetime.datetime.now(datetime.timezone.utc), decimal.Decimal("0.5")],
        ).fetchone()
        check(again[0] >= 1, "psycopg: times and decimals as parameters")
        with connection.cursor(binary=True) as cursor:
            cursor.execute("SELECT event_id, customer_id, amount, ts FROM events WHERE event = %b", ["purchase"])
            check(sorted(cursor.fetchall()) == sorted(rows), "psycopg: bytes say the same as texts")
        for number in range(7):
            # After five times the driver prepares it.
            connection.execute("SELECT %s::bigint + 1", [number])
        check(True, "psycopg: prepared by itself")
        with connection.cursor() as cursor:
            added = "INSERT INTO events (event_id, ts, event) VALUES (%s, '2026-05-01', 'visit')"
            cursor.executemany(added, [(f"py-{number}",) for number in range(3)])
            check(cursor.rowcount == 3, f"psycopg: executemany, {cursor.rowcount}")
        try:
            connection.execute("SELECT amout FROM events")
            check(False, "psycopg: a slip is an error")
        except psycopg.errors.UndefinedColumn as slip:
            check("did you mean 'amount'" in str(slip), "psycopg: a slip has its class and a hint")
    with psycopg.connect(**place, autocommit=True) as connection:
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        try:
            connection.execute(LONG)
            check(False, "psycopg: a statement is cancelled")
        except psycopg.errors.QueryCanceled:
            check(connection.execute("SELECT 1").fetchone() == (1,), "psycopg: cancelled")


def psycopg_2():
    with psycopg2.connect(**place) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT event, count(*) FROM events WHERE event <> %s GROUP BY event", ["x"])
        check(len(cursor.fetchall()) > 1, "psycopg2: rows")


def sql_alchemy(driver):
    url = sqlalchemy.URL.create(
        f"postgresql+{driver}", username=user, password=password, host=host, port=int(port),
        database="habitue",
    )
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    check(inspector.default_schema_name == "main", f"{driver}: default schema")
    check({"main", "system"} <= set(inspector.get_schema_names()), f"{driver}: schemas")
    tables = set(inspector.get_table_names()) | set(inspector.get_view_names())
    check({"events", "customers"} <= tables, f"{driver}: tables {sorted(tables)}")
    reflected(inspector, driver)
    check(inspector.has_table("events") and not inspector.has_table("evnts"), f"{driver}: has_table")
    events = sqlalchemy.Table("events", sqlalchemy.MetaData(), autoload_with=engine)
    check(isinstance(events.c.customer_id.type, sqlalchemy.BigInteger), f"{driver}: autoload_with")
    everything = sqlalchemy.MetaData()
    everything.reflect(engine, views=True)
    check("events" in everything.tables, f"{driver}: the whole schema is reflected")
    query = (
        sqlalchemy.select(events.c.event, sqlalchemy.func.count().label("n"))
        .where(events.c.event.in_(["purchase", "visit"]))
        .group_by(events.c.event)
        .order_by(sqlalchemy.desc("n"))
        .limit(10)
    )
    with engine.connect() as connection:
        check(len(connection.execute(query).fetchall()) == 2, f"{driver}: a query of the toolkit")
        connection.execute(sqlalchemy.text("CREATE OR REPLACE SEGMENT py AS SELECT customer_id FROM events"))
        connection.commit()
    frame = pandas.read_sql(query, engine)
    check(list(frame.columns) == ["event", "n"], f"{driver}: pandas.read_sql")
    frame = pandas.read_sql_table("events", engine)
    check(str(frame.ts.dtype).startswith("datetime64"), f"{driver}: pandas.read_sql_table")
    engine.dispose()


def reflected(inspector, driver):
    columns = {column["name"]: column for column in inspector.get_columns("events")}
    types = {name: str(columns[name]["type"]) for name in ("event_id", "customer_id", "ts", "amount")}
    check(types == {"event_id": "TEXT", "customer_id": "BIGINT", "ts": "TIMESTAMP",
                    "amount": "NUMERIC"}, f"{driver}: get_columns {types}")
    check(columns["ts"]["type"].timezone, f"{driver}: times have a zone")
    check(inspector.get_columns("segments", schema="system"), f"{driver}: columns of a schema")
    check(inspector.get_pk_constraint("events")["constrained_columns"] == [], f"{driver}: no key")
    for what in ("foreign_keys", "indexes", "unique_constraints", "check_constraints"):
        check(getattr(inspector, f"get_{what}")("events") == [], f"{driver}: no {what}")
    check(inspector.get_table_comment("events") == {"text": None}, f"{driver}: no comment")
    for what in ("get_sequence_names", "get_enums", "get_domains", "get_temp_table_names",
                 "get_materialized_view_names"):
        check(getattr(inspector, what)() == [], f"{driver}: {what}")
    check(len(inspector.get_multi_columns()) >= 2, f"{driver}: columns of all tables")


psycopg3()
psycopg_2()
sql_alchemy("psycopg2")
sql_alchemy("psycopg")
