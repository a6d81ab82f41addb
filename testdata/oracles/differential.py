"""Random queries over the events of a database, answered by Habitué and by DuckDB.

usage: differential.py PROGRAM DB [--queries 200] [--seed 1]

PROGRAM is the command `habitue`. All rows of `events` are written to Parquet once; DuckDB then
answers every query from that file. An answer that differs, and an error, are printed with the
query; the exit code says whether there were any. Needs `duckdb` and `pytz` from PyPI.
"""
import argparse
import random
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb

COLUMNS = ["event_id", "ts", "event", "channel", "campaign", "anonymous_id", "user_id", "amount",
           "product_id", "properties", "customer_id"]
NULLABLE = ["amount", "user_id", "campaign", "customer_id", "channel", "product_id"]
GROUPS = ["event", "channel", "customer_id", "date_trunc('month', ts)", "date_trunc('day', ts)",
          "campaign", "user_id", "customer_id % 7", "amount IS NULL"]
AGGREGATES = ["count(*)", "count(amount)", "count(DISTINCT customer_id)", "sum(amount)", "min(ts)",
              "max(ts)", "min(amount)", "max(event)", "count(DISTINCT user_id)", "min(event_id)",
              "max(anonymous_id)", "count(*) FILTER (WHERE {})", "sum(amount) FILTER (WHERE {})"]


class Queries:
    """Queries whose answers do not depend on the order of rows that are equal."""

    def __init__(self, oracle, seed):
        def values(column, count):
            rows = oracle.execute(
                f"SELECT DISTINCT {column} FROM events WHERE {column} IS NOT NULL "
                f"ORDER BY hash({column}) LIMIT {count}").fetchall()
            return [row[0] for row in rows] or [0]

        self.random = random.Random(seed)
        self.first, self.last = oracle.execute("SELECT min(ts), max(ts) FROM events").fetchone()
        self.values = {column: values(column, 100) for column in COLUMNS}

    def text(self, column):
        return "'" + str(self.random.choice(self.values[column])).replace("'", "''") + "'"

    def time(self):
        at = self.first + (self.last - self.first) * self.random.random()
        return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'"

    def customers(self):
        chosen = {str(self.random.choice(self.values["customer_id"])) for _ in range(9)}
        return ", ".join(sorted(chosen))

    def predicate(self, depth=0, table=""):
        pick, e = self.random.choice, table
        leaves = [
            lambda: f"{e}event = {self.text('event')}",
            lambda: f"{e}event IN ({self.text('event')}, {self.text('event')})",
            lambda: f"{e}ts {pick(['<', '>=', '<=', '>'])} {self.time()}",
            lambda: f"{e}ts BETWEEN {self.time()} AND {self.time()}",
            lambda: f"{e}customer_id {pick(['=', '<', '>=', '<>'])} "
                    f"{pick(self.values['customer_id'])}",
            lambda: f"{e}customer_id IN ({self.customers()})",
            lambda: f"{e}channel {pick(['=', '<>'])} {self.text('channel')}",
            lambda: f"{e}amount {pick(['<', '>', '>='])} {self.random.randrange(200)}",
            lambda: f"{e}{pick(NULLABLE)} IS {pick(['', 'NOT '])}NULL",
            lambda: f"{e}user_id = {self.text('user_id')}",
            lambda: f"{e}anonymous_id = {self.text('anonymous_id')}",
            lambda: f"{e}event LIKE '%{pick('aeious')}%'",
        ]
        branches = [
            lambda: f"({self.predicate(depth + 1, e)} OR {self.predicate(depth + 1, e)})",
            lambda: f"NOT ({self.predicate(depth + 1, e)})",
        ]
        return pick(leaves + (branches if depth < 3 else []))()

    def where(self, table=""):
        count = self.random.choice([0, 1, 1, 2, 3])
        if count == 0:
            return ""
        return " WHERE " + " AND ".join(self.predicate(0, table) for _ in range(count))

    def aggregates(self):
        chosen = [self.random.choice(AGGREGATES).format(self.predicate(3)) for _ in range(3)]
        return list(dict.fromkeys(chosen))[:self.random.randrange(1, 4)]

    def next(self):
        """A query, and whether its rows come in a stated order."""
        kinds = [self.grouped, self.grouped, self.total, self.sorted, self.joined, self.of_groups,
                 self.of_members]
        return self.random.choice(kinds)()

    def grouped(self):
        groups = self.random.sample(GROUPS, self.random.choice([1, 1, 2]))
        places = ", ".join(str(place + 1) for place in range(len(groups)))
        having = self.random.choice(["", f" HAVING count(*) > {self.random.randrange(5)}"])
        columns = ", ".join(groups + self.aggregates())
        return f"SELECT {columns} FROM events{self.where()} GROUP BY {places}{having}", False

    def total(self):
        return f"SELECT {', '.join(self.aggregates())} FROM events{self.where()}", False

    def sorted(self):
        columns = self.random.sample(COLUMNS, self.random.randrange(1, 6))
        keys = self.random.sample(COLUMNS, self.random.choice([1, 2])) + ["event_id"]
        order = ", ".join(key + self.random.choice(["", " DESC"])
                          + self.random.choice([" NULLS FIRST", " NULLS LAST"]) for key in keys)
        skip = self.random.choice(["", " OFFSET 5"])
        return (f"SELECT {', '.join(columns)} FROM events{self.where()} ORDER BY {order} "
                f"LIMIT {self.random.randrange(1, 40)}{skip}"), True

    def joined(self):
        return ("SELECT count(*), min(a.event_id) FROM events a JOIN events b "
                f"ON a.customer_id = b.customer_id AND b.event = {self.text('event')} "
                f"AND a.ts < b.ts{self.where('a.')}"), False

    def of_groups(self):
        return ("SELECT count(*), sum(n), min(f) FROM (SELECT customer_id, count(*) AS n, "
                f"min(ts) AS f FROM events{self.where()} GROUP BY customer_id) "
                f"WHERE n > {self.random.randrange(4)}"), False

    def of_members(self):
        return ("SELECT event, count(*) FROM events WHERE customer_id IN (SELECT customer_id "
                f"FROM events{self.where()}) GROUP BY event"), False


def comparable(rows, is_ordered):
    def cell(value):
        if isinstance(value, Decimal):
            return str(value.normalize() + 0)
        if hasattr(value, "tzinfo"):
            return value.replace(tzinfo=None).isoformat(" ")
        return value if value is None else str(value)
    rows = [tuple(cell(value) for value in row) for row in rows]
    return rows if is_ordered else sorted(rows, key=repr)


def run(program, database, sql):
    done = subprocess.run([program, "sql", database, "-c", sql], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("database")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        everything = f"COPY (SELECT {', '.join(COLUMNS)} FROM events) TO '{folder}/events.parquet'"
        if refused := run(wanted.program, wanted.database, everything):
            sys.exit(refused)
        oracle = duckdb.connect()
        oracle.execute("SET TimeZone = 'UTC'")
        oracle.execute(f"CREATE TABLE events AS FROM '{folder}/events.parquet'")
        source = Queries(oracle, wanted.seed)
        queries = [source.next() for _ in range(wanted.queries)]
        wrong = compare(wanted, oracle, folder, queries)
    print(f"{wanted.queries} queries, {wrong} wrong, seed {wanted.seed}")
    sys.exit(1 if wrong else 0)


def compare(wanted, oracle, folder, queries):
    def copy(place):
        return f"COPY ({queries[place][0]}) TO '{folder}/{place}.parquet'"
    # One process for all is quick; it ends at the first error, so the rest are asked one by one.
    run(wanted.program, wanted.database, ";\n".join(copy(place) for place in range(len(queries))))
    wrong = 0
    for place, (sql, is_ordered) in enumerate(queries):
        answer = folder / f"{place}.parquet"
        refused = None if answer.exists() else run(wanted.program, wanted.database, copy(place))
        if refused:
            wrong += 1
            print(f"refused: {sql}\n  {refused}")
            continue
        # COPY of no rows makes no file.
        rows = oracle.execute(f"FROM '{answer}'").fetchall() if answer.exists() else []
        expected = comparable(oracle.execute(sql).fetchall(), is_ordered)
        came = comparable(rows, is_ordered)
        if came != expected:
            wrong += 1
            print(f"differs: {sql}\n  expected {len(expected)} rows: {expected[:3]}\n"
                  f"  came     {len(came)} rows: {came[:3]}")
    return wrong


if __name__ == "__main__":
    main()
