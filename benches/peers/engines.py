"""The engines of the comparison: how each is loaded, and how it is asked.

Each has `load()`, `bytes()` (what a query reads from) and `ask(name, runs)`, which answers the
milliseconds of each run and the rows, or None where it has no words for a question.

What `ingest.py` measures are the steps of loading: `make()` begins anew, `ingest(source)` takes in
the events of a folder of Parquet files or of one file of NDJSON, `compact()` or
`ingest_sorted(source)` bring them into the order of customers, `count(what)` tells what is there,
and `remove()` leaves nothing.
"""
import json
import os
import shutil
import subprocess
import sys
import time

import questions

THREADS = 2
MEMORY = 9_000_000_000
SELECT = ("SELECT CAST(event_id AS VARCHAR) AS event_id, ts, event_name AS event, anonymous_id, "
          "user_id, channel, amount, CAST(product_id AS VARCHAR) AS product_id, "
          "campaign_id AS campaign, country, properties FROM input")
SEGMENTS = [f"s{number}" for number in range(1, 9)] + ["seg1"]


def meta(data):
    return json.loads((data / "meta.json").read_text())


def size_of(path):
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


class Habitue:
    # What this process has to load before it can ask: nothing, the engine is a program.
    modules = []
    words = questions.HABITUE
    limits = ["--threads", str(THREADS), "--memory-limit", str(MEMORY)]

    def __init__(self, name, data, work, programs):
        self.data, self.path = data, work / name
        self.command, self.program = programs["habitue"], programs["ask"]

    def run(self, *arguments):
        done = subprocess.run([self.command, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"habitue {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def make(self):
        self.remove()
        self.run("init", str(self.path), "--namespace", "user_id:unique=false",
                 "--namespace", "anonymous_id:max_degree=none")

    def ingest(self, source):
        if source.is_file():
            self.run("ingest", str(self.path), str(source), *self.limits)
        else:
            files = [str(file) for file in sorted(source.glob("*.parquet"))]
            self.run("ingest", str(self.path), *files, "--select", SELECT, *self.limits)

    def compact(self):
        self.run("maintain", str(self.path), *self.limits)

    def count(self, what="*"):
        return int(self.answer(f"SELECT count({what}) FROM events", 1)["rows"][0][0])

    def load(self):
        self.make()
        self.ingest(self.data / "events")
        self.compact()
        for name in SEGMENTS:
            self.run("sql", str(self.path), "-c",
                     f"CREATE EXTERNAL TABLE truth STORED AS PARQUET LOCATION "
                     f"'{self.data}/idmap.parquet'; CREATE EXTERNAL TABLE chosen STORED AS PARQUET "
                     f"LOCATION '{self.data}/segments.parquet'; CREATE STATIC SEGMENT {name} AS "
                     "SELECT DISTINCT i.customer_id FROM identifiers i JOIN truth ON i.value = "
                     "truth.anonymous_id JOIN chosen ON chosen.customer_id = truth.customer_id "
                     f"WHERE i.namespace = 'anonymous_id' AND chosen.{name}")

    def bytes(self):
        # What a query reads; files that were compacted away are kept for older versions.
        told = self.run("sql", str(self.path), "--format", "csv", "-c",
                        "SELECT sum(bytes) FROM system.data_files")
        return int(told.split()[-1])

    def ask(self, name, runs):
        device = meta(self.data)["point_anonymous_ids"][0]
        told = self.answer(self.words[name].replace("{device}", device), runs)
        return told["milliseconds"], told["rows"]

    def answer(self, sql, runs):
        """Asks in a process of its own: it opens the database, and runs the question so often."""
        command = [self.program, str(self.path), str(THREADS), str(MEMORY)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
            child.stdin.write(json.dumps({"name": "", "sql": sql, "runs": runs}))
            child.stdin.close()
            told = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            sys.exit(f"failed: {sql}")
        return json.loads(told) | {"mb": usage.ru_maxrss / 1024}


class DuckDb:
    # pytz is what it imports to answer a time with its zone.
    modules = ["duckdb", "pytz"]
    words = questions.DUCKDB
    JSON_COLUMNS = {"event_id": "BIGINT", "ts": "TIMESTAMPTZ", "event": "VARCHAR",
                    "anonymous_id": "VARCHAR", "user_id": "VARCHAR", "channel": "VARCHAR",
                    "amount": "DOUBLE", "product_id": "INTEGER", "campaign": "VARCHAR",
                    "country": "VARCHAR", "properties": "VARCHAR"}

    def __init__(self, name, data, work, programs):
        self.data, self.path = data, work / f"{name}.db"
        self.folder = "events_sorted" if name == "duckdb_sorted" else "events"

    def connect(self):
        import duckdb
        connection = duckdb.connect(str(self.path))
        for setting in (f"threads = {THREADS}", f"memory_limit = '{MEMORY}B'", "TimeZone = 'UTC'",
                        "preserve_insertion_order = false"):
            connection.execute(f"SET {setting}")
        return connection

    def remove(self):
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.wal").unlink(missing_ok=True)

    def make(self):
        self.remove()

    def create_events(self, connection, source, order=""):
        rows = f"'{source}/*.parquet'"
        if source.is_file():
            rows = (f"read_json('{source}', format = 'newline_delimited', "
                    f"columns = {self.JSON_COLUMNS})")
        connection.execute(f"CREATE TABLE events AS FROM {rows} {order}")
        connection.execute("CHECKPOINT")

    def ingest(self, source):
        with self.connect() as connection:
            self.create_events(connection, source)

    def ingest_sorted(self, source):
        with self.connect() as connection:
            self.create_events(connection, source, "ORDER BY customer_id, ts")

    def count(self, what="*"):
        with self.connect() as connection:
            return connection.execute(f"SELECT count({what}) FROM events").fetchone()[0]

    def load(self):
        self.make()
        connection = self.connect()
        connection.execute("SET preserve_insertion_order = true")
        self.create_events(connection, self.data / self.folder)
        connection.execute(f"CREATE TABLE segments AS FROM '{self.data}/segments.parquet'")
        connection.execute("CREATE TABLE bits AS " + " UNION ALL ".join(
            f"SELECT {n} s, bitstring_agg(customer_id, 0, {meta(self.data)['customers'] - 1}) b "
            f"FROM segments WHERE s{n}" for n in range(1, 9)))
        connection.execute("CHECKPOINT")
        connection.close()

    def bytes(self):
        return size_of(self.path)

    def ask(self, name, runs):
        connection = self.connect()
        one = meta(self.data)["point_customer"]
        text = self.words[name].format(events="events", segments="segments", one=one)

        def once():
            if name == "stitch":
                return self.stitch(connection)
            return connection.execute(text).fetchall()
        return timed(once, runs)

    def stitch(self, connection):
        """The smallest login that is reachable from each device, by label propagation."""
        run = connection.execute
        run(f"CREATE OR REPLACE TEMP TABLE edge AS SELECT DISTINCT anonymous_id a, user_id u "
            f"FROM '{self.data}/edges.parquet'")
        run("CREATE OR REPLACE TEMP TABLE number AS SELECT u, row_number() OVER () n "
            "FROM (SELECT DISTINCT u FROM edge)")
        run("CREATE OR REPLACE TEMP TABLE label AS SELECT u, n l FROM number")
        changed = 1
        while changed:
            run("CREATE OR REPLACE TEMP TABLE of_device AS SELECT a, min(l) l FROM edge "
                "JOIN label USING (u) GROUP BY a")
            run("CREATE OR REPLACE TEMP TABLE next AS SELECT u, min(l) l FROM edge "
                "JOIN of_device USING (a) GROUP BY u")
            changed = run("SELECT count(*) FROM label JOIN next USING (u) "
                          "WHERE label.l <> next.l").fetchone()[0]
            run("CREATE OR REPLACE TEMP TABLE label AS FROM next")
        return run("WITH e AS (SELECT anonymous_id a, count(*) n FROM events GROUP BY 1), g AS ("
                   "SELECT sum(n) n FROM e JOIN of_device USING (a) GROUP BY l UNION ALL "
                   "SELECT n FROM e ANTI JOIN of_device USING (a)) "
                   "SELECT count(*), max(n)::BIGINT, sum(n * n)::BIGINT FROM g").fetchall()


class DuckDbOverParquet(DuckDb):
    """DuckDB without a database of its own: the sorted files, as they are."""
    words = questions.DUCKDB_OVER_PARQUET

    def __init__(self, name, data, work, programs):
        self.data, self.path = data, ":memory:"

    def connect(self):
        connection = super().connect()
        connection.execute(f"CREATE VIEW events AS FROM '{self.data}/events_sorted/*.parquet'")
        connection.execute(f"CREATE VIEW segments AS FROM '{self.data}/segments.parquet'")
        return connection

    def load(self):
        pass

    def bytes(self):
        return size_of(self.data / "events_sorted")


class ClickHouse:
    modules = ["chdb"]
    words = questions.CLICKHOUSE
    COLUMNS = ("event_id Int64, ts DateTime64(6,'UTC'), event_name LowCardinality(String), "
               "anonymous_id String, user_id String, customer_id Int64, "
               "channel LowCardinality(String), amount Float64, product_id Int32, "
               "campaign_id LowCardinality(String), country LowCardinality(String), "
               "properties String")
    # What a log has: the customer is found by nobody but Habitué.
    JSON_COLUMNS = (COLUMNS.replace("event_name", "event").replace("campaign_id", "campaign")
                    .replace("customer_id Int64, ", ""))

    def __init__(self, name, data, work, programs):
        self.data, self.path = data, work / "clickhouse"

    def connect(self):
        from chdb import session
        connection = session.Session(str(self.path))
        for setting in (f"max_threads = {THREADS}", f"max_memory_usage = {MEMORY}",
                        "session_timezone = 'UTC'"):
            connection.query(f"SET {setting}")
        return connection

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def make(self):
        self.remove()

    def ingest(self, source):
        columns, customer = self.COLUMNS, "customer_id"
        given, rows = columns, f"'{source}/*.parquet', Parquet"
        if source.is_file():
            columns, customer = self.JSON_COLUMNS, "anonymous_id"
            # Reading a line into plain strings and encoding these is faster than doing it at once.
            given = columns.replace("LowCardinality(String)", "String")
            rows = f"'{source}', JSONEachRow"
        connection = self.connect()
        connection.query("CREATE DATABASE db")
        connection.query(f"CREATE TABLE db.events ({columns}) ENGINE = MergeTree "
                         f"ORDER BY ({customer}, ts)")
        escaped = given.replace("'", "\\'")
        connection.query(f"INSERT INTO db.events SELECT * FROM file({rows}, '{escaped}') SETTINGS "
                         f"max_insert_threads = {THREADS}, date_time_input_format = 'best_effort'")
        connection.close()

    def compact(self):
        connection = self.connect()
        connection.query("OPTIMIZE TABLE db.events FINAL")
        connection.close()

    def count(self, what="*"):
        connection = self.connect()
        counted = str(connection.query(f"SELECT count({what}) FROM db.events", "TSV"))
        connection.close()
        return int(counted)

    def load(self):
        self.make()
        self.ingest(self.data / "events")
        self.compact()
        connection = self.connect()
        sets = ", ".join(f"s{n} Bool" for n in range(1, 9))
        connection.query(f"CREATE TABLE db.segments (customer_id Int64, {sets}, seg1 Bool) "
                         "ENGINE = MergeTree ORDER BY customer_id")
        connection.query(f"INSERT INTO db.segments SELECT * FROM "
                         f"file('{self.data}/segments.parquet', Parquet)")
        connection.query("CREATE TABLE db.bits (s UInt8, b AggregateFunction(groupBitmap, UInt32)) "
                         "ENGINE = MergeTree ORDER BY s")
        for n in range(1, 9):
            connection.query(f"INSERT INTO db.bits SELECT {n}, groupBitmapState("
                             f"toUInt32(customer_id)) FROM db.segments WHERE s{n}")
        connection.close()

    def bytes(self):
        return size_of(self.path / "store")

    def ask(self, name, runs):
        text = self.words[name]
        if text is None:
            return None
        connection = self.connect()
        text = text.format(events="db.events", segments="db.segments",
                           one=meta(self.data)["point_customer"])

        def once():
            answer = str(connection.query(text, "JSONCompactEachRow"))
            return [json.loads(line) for line in answer.splitlines() if line.strip()]
        return timed(once, runs)


def timed(once, runs):
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        rows = once()
        milliseconds.append((time.perf_counter() - start) * 1e3)
    return milliseconds, rows


PEERS = {"habitue": Habitue, "duckdb_log": DuckDb, "duckdb_sorted": DuckDb,
         "duckdb_over_parquet": DuckDbOverParquet, "clickhouse": ClickHouse}
