"""Habitué beside DuckDB and ClickHouse, on the same events, in one run.

usage: peers.py --ask PROGRAM --habitue PROGRAM [--events N] [--work FOLDER] [--data FOLDER]

Makes the events (or takes those of --data), loads each engine, asks each question in a process of
its own, checks that the answers agree, and prints a table in Markdown: the median of the warm runs
in milliseconds, the ratio of the best peer to Habitué, the processor time and the peak memory.
`--only daily_active,funnel` and `--engines habitue,duckdb_sorted` ask less.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import questions
from generate import generate

ENGINES = ["habitue", "duckdb_log", "duckdb_sorted", "clickhouse"]
THREADS = 2
MEMORY = 9_000_000_000
SELECT = ("SELECT CAST(event_id AS VARCHAR) AS event_id, ts, event_name AS event, anonymous_id, "
          "user_id, channel, amount, CAST(product_id AS VARCHAR) AS product_id, "
          "campaign_id AS campaign, country, properties FROM input")


def meta(data):
    return json.loads((data / "meta.json").read_text())


def size_of(path):
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


class Habitue:
    def __init__(self, name, data, work, programs):
        self.data, self.path = data, work / "habitue"
        self.command, self.program = programs["habitue"], programs["ask"]

    def run(self, *arguments):
        done = subprocess.run([self.command, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"habitue {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def load(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.run("init", str(self.path), "--namespace", "user_id:unique=false",
                 "--namespace", "anonymous_id:max_degree=none")
        files = [str(file) for file in sorted((self.data / "events").glob("*.parquet"))]
        self.run("ingest", str(self.path), *files, "--select", SELECT)
        self.run("maintain", str(self.path))
        for name in [f"s{number}" for number in range(1, 9)] + ["seg1"]:
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
        text = questions.HABITUE[name]
        if text is None:
            return None
        text = text.replace("{device}", meta(self.data)["point_anonymous_ids"][0])
        question = json.dumps({"name": name, "sql": text, "runs": runs})
        done = subprocess.run([self.program, str(self.path), str(THREADS), str(MEMORY)],
                              input=question, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        told = json.loads(done.stdout)
        return told["milliseconds"], told["rows"]


class DuckDb:
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

    def load(self):
        self.path.unlink(missing_ok=True)
        connection = self.connect()
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(f"CREATE TABLE events AS FROM '{self.data}/{self.folder}/*.parquet'")
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
        text = questions.DUCKDB[name].format(events="events", segments="segments", one=one)

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


class ClickHouse:
    COLUMNS = ("event_id Int64, ts DateTime64(6,'UTC'), event_name LowCardinality(String), "
               "anonymous_id String, user_id String, customer_id Int64, "
               "channel LowCardinality(String), amount Float64, product_id Int32, "
               "campaign_id LowCardinality(String), country LowCardinality(String), "
               "properties String")

    def __init__(self, name, data, work, programs):
        self.data, self.path = data, work / "clickhouse"

    def connect(self):
        from chdb import session
        connection = session.Session(str(self.path))
        for setting in (f"max_threads = {THREADS}", f"max_memory_usage = {MEMORY}",
                        "session_timezone = 'UTC'"):
            connection.query(f"SET {setting}")
        return connection

    def load(self):
        shutil.rmtree(self.path, ignore_errors=True)
        connection = self.connect()
        connection.query("CREATE DATABASE db")
        connection.query(f"CREATE TABLE db.events ({self.COLUMNS}) ENGINE = MergeTree "
                         "ORDER BY (customer_id, ts)")
        escaped = self.COLUMNS.replace("'", "\\'")
        connection.query(f"INSERT INTO db.events SELECT * FROM file('{self.data}/events/*.parquet', "
                         f"Parquet, '{escaped}')")
        connection.query("OPTIMIZE TABLE db.events FINAL")
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
        text = questions.CLICKHOUSE[name]
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


PEERS = {"habitue": Habitue, "duckdb_log": DuckDb, "duckdb_sorted": DuckDb, "clickhouse": ClickHouse}


def comparable(name, rows):
    """Rows without the differences that are no differences: 1.50 and 1.5, '' and NULL."""
    def cell(value):
        if value is None or value == "" or value == "None":
            return None
        try:
            return round(float(value), 3)
        except (TypeError, ValueError):
            return str(value)
    if name == "one_customer":
        ids = [int(row[0]) for row in rows]
        return [[len(ids), ids[0], ids[-1], sum(ids)]]
    # Where a list ends is a matter of taste: NULL first or last.
    return sorted(([cell(value) for value in row] for row in rows), key=repr)


def in_own_process(engine, wanted, action, *arguments):
    """Runs one step in a process of its own: its time and its memory are nobody else's."""
    command = [sys.executable, __file__, "--step", json.dumps([engine, action, *arguments]),
               "--work", str(wanted.work), "--data", str(wanted.data), "--ask", wanted.ask,
               "--habitue", wanted.habitue]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{engine} {action} {arguments} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = json.loads(told.splitlines()[-1])
    own["cpu"] = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    own["mb"] = max(usage.ru_maxrss / 1024, own.pop("child_mb"))
    return own


def step(wanted):
    engine, action, *arguments = json.loads(wanted.step)
    programs = {"ask": wanted.ask, "habitue": wanted.habitue}
    peer = PEERS[engine](engine, wanted.data, wanted.work, programs)
    if action == "load":
        start = time.perf_counter()
        peer.load()
        told = {"seconds": time.perf_counter() - start, "bytes": peer.bytes()}
    else:
        answer = peer.ask(*arguments)
        told = {"milliseconds": None, "rows": None}
        if answer is not None:
            told = {"milliseconds": answer[0], "rows": comparable(arguments[0], answer[1])}
    told["child_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps(told, default=str))


def compare(wanted):
    names = wanted.only.split(",") if wanted.only else questions.NAMES
    engines = wanted.engines.split(",")
    if not wanted.keep:
        for engine in engines:
            loaded = in_own_process(engine, wanted, "load")
            print(f"{engine}: loaded in {loaded['seconds']:.1f} s, {loaded['bytes'] / 1e6:.0f} MB, "
                  f"peak {loaded['mb']:.0f} MB", flush=True)
    peers = [engine for engine in engines if engine != "habitue"]
    print(f"\n| question | {' | '.join(engines)} | best peer / Habitué | "
          "Habitué s CPU, MB | best peer s CPU, MB |")
    print("|---" * (len(engines) + 4) + "|")
    disagreements = 0
    for name in names:
        asked = {engine: in_own_process(engine, wanted, "ask", name, wanted.runs)
                 for engine in engines}
        known = {engine: told for engine, told in asked.items() if told["milliseconds"]}
        warm = {engine: statistics.median(told["milliseconds"][1:] or told["milliseconds"])
                for engine, told in known.items()}
        answers = {json.dumps(told["rows"]) for told in known.values()}
        disagreements += len(answers) > 1
        best = min((engine for engine in peers if engine in warm), key=warm.get, default=None)
        ratio = f"{warm[best] / warm['habitue']:.2f}" if best and "habitue" in warm else "–"
        cost = [f"{known[e]['cpu']:.2f}, {known[e]['mb']:.0f}" if e in known else "–"
                for e in ("habitue", best)]
        cells = [f"{warm[engine]:.1f}" if engine in warm else "–" for engine in engines]
        note = " (answers differ!)" if len(answers) > 1 else ""
        print(f"| {name}{note} | {' | '.join(cells)} | {ratio} | {cost[0]} | {cost[1]} |", flush=True)
        if len(answers) > 1:
            for engine, told in known.items():
                print(f"  {engine}: {json.dumps(told['rows'])[:200]}", file=sys.stderr)
    sys.exit(1 if disagreements else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=lambda text: int(float(text)), default=2_000_000)
    parser.add_argument("--work", type=Path, default=Path("peers-work"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--ask", default="target/release/ask")
    parser.add_argument("--habitue", default="target/release/habitue")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--only")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="ask what an earlier run loaded")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    wanted.work.mkdir(parents=True, exist_ok=True)
    if wanted.data is None:
        wanted.data = wanted.work / "data"
        if not (wanted.data / "meta.json").exists():
            generate(wanted.events, wanted.data)
    wanted.data = wanted.data.resolve()
    return step(wanted) if wanted.step else compare(wanted)


if __name__ == "__main__":
    main()
