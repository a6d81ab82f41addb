"""What a refresh of segments costs: beside the whole query, and fifty beside one.

usage: refresh.py --habitue PROGRAM --database FOLDER [--work FOLDER] [--runs 5] [--share 100]

Works on a copy of the database in WORK. Each statement is a process of its own, as a batch job is:
it opens the database, which `SELECT 1` does, too. Prints two tables in Markdown, medians in
milliseconds.

1. Before each run one event of SHARE comes in anew, a day after the last. Then each segment is
   refreshed, and its definition is asked as a query. Both must find the same number of customers.
2. Definitions that read the clock so that everybody has to be evaluated again: one, and fifty, with
   counts and sums, and with counts of days in half of them.
"""
import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from engines import MEMORY, THREADS

SEGMENTS = {
    "buyers": "SELECT customer_id FROM events WHERE event = 'purchase' GROUP BY customer_id "
              "HAVING sum(amount) >= 500",
    "regulars": "SELECT customer_id FROM events GROUP BY customer_id "
                "HAVING count(DISTINCT CAST(ts AS DATE)) >= 5",
    "recent": "SELECT customer_id FROM events WHERE event = 'add_to_cart' "
              "AND ts >= now() - INTERVAL '10000 days' GROUP BY customer_id HAVING count(*) >= 3",
    "refunded": "SELECT customer_id FROM events WHERE event = 'refund' GROUP BY customer_id "
                "HAVING count(*) >= 2",
}
EVENTS = ["page_view", "product_view", "search", "add_to_cart", "purchase"]
COUNTS = ["count(*)", "sum(amount)"]
DAYS = ["count(*)", "count(DISTINCT CAST(ts AS DATE))"]


def fifty_of(values):
    """Fifty definitions that the clock makes everybody's."""
    return [f"SELECT customer_id FROM events WHERE event = '{event}' GROUP BY customer_id "
            f"HAVING {value} >= {least} AND now() - max(ts) < INTERVAL '10000 days'"
            for least in range(1, 6) for value in values for event in EVENTS]


class Database:
    def __init__(self, habitue, path):
        self.habitue, self.path = habitue, path

    def run(self, sql):
        """What a statement answers, and how long its process took."""
        command = [self.habitue, "sql", self.path, "--format", "csv", "--threads", str(THREADS),
                   "--memory-limit", str(MEMORY), "-c", sql]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        milliseconds = (time.perf_counter() - start) * 1e3
        if done.returncode:
            sys.exit(f"{sql}\n{done.stdout}{done.stderr}")
        return done.stdout, milliseconds

    def value(self, sql):
        told, milliseconds = self.run(sql)
        return told.split()[-1], milliseconds

    def drop_all(self):
        names, _ = self.run("SELECT name FROM system.segments")
        for name in names.split()[1:]:
            self.run(f"DROP SEGMENT {name} CASCADE")


def bring_in(database, run, share):
    """One event of so many comes again, with another name, on the day after the last."""
    database.run(
        f"INSERT INTO events (event_id, ts, event, user_id, anonymous_id, channel, amount) "
        f"SELECT concat('again-{run}-', event_id), day + (ts - date_trunc('day', ts)), event, "
        "user_id, anonymous_id, channel, amount FROM events, "
        "(SELECT date_trunc('day', max(ts)) + INTERVAL '1 day' AS day FROM events) AS last "
        f"WHERE TRY_CAST(event_id AS BIGINT) % {share} = {run}")


def small_and_whole(database, runs, share):
    """Of each segment: milliseconds of its refreshes and of its definition as a query."""
    for name, definition in SEGMENTS.items():
        database.run(f"CREATE SEGMENT {name} AS {definition}")
    measured = {name: ([], []) for name in SEGMENTS}
    for run in range(runs):
        bring_in(database, run, share)
        for name, definition in SEGMENTS.items():
            _, refreshed = database.run(f"REFRESH SEGMENT {name}")
            members, _ = database.value(f"SELECT count(*) FROM segment('{name}')")
            wanted, whole = database.value(f"SELECT count(*) FROM ({definition})")
            assert members == wanted, f"{name} has {members} members, its definition {wanted}"
            measured[name][0].append(refreshed)
            measured[name][1].append(whole)
    return measured


def one_and_fifty(database, values, runs):
    """Milliseconds of the refresh of one and of fifty segments, everybody evaluated."""
    database.drop_all()
    for number, definition in enumerate(fifty_of(values)):
        database.run(f"CREATE SEGMENT fifty_{number} AS {definition}")
    fifty = [database.run("REFRESH ALL SEGMENTS")[1] for _ in range(runs)]
    one = [database.run("REFRESH SEGMENT fifty_0")[1] for _ in range(runs)]
    partial, _ = database.value("SELECT count(customers_evaluated) FROM system.segment_versions "
                                "WHERE starts_with(name, 'fifty_')")
    assert partial == "0", f"{partial} versions were evaluated for some customers only"
    return one, fifty


def row_of(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--habitue", required=True)
    parser.add_argument("--database", required=True, type=Path)
    parser.add_argument("--work", type=Path, default=Path("peers-work"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--share", type=int, default=100)
    wanted = parser.parse_args()
    path = wanted.work / "refresh"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(wanted.database, path)
    database = Database(wanted.habitue, path)
    database.drop_all()
    opening = statistics.median(database.run("SELECT 1")[1] for _ in range(wanted.runs))
    row_of(["segment", "refresh", "whole query", "refresh : whole",
            f"less {opening:.0f} ms of opening"])
    row_of(["---"] * 5)
    for name, times in small_and_whole(database, wanted.runs, wanted.share).items():
        small, whole = map(statistics.median, times)
        row_of([name, f"{small:.0f}", f"{whole:.0f}", f"{small / whole:.2f}",
                f"{(small - opening) / (whole - opening):.2f}"])
    print()
    row_of(["fifty segments", "one", "fifty", "fifty : one"])
    row_of(["---"] * 4)
    for name, values in [("counts and sums", COUNTS), ("half of them count days", DAYS)]:
        one, fifty = map(statistics.median, one_and_fifty(database, values, wanted.runs))
        row_of([name, f"{one:.0f}", f"{fifty:.0f}", f"{fifty / one:.1f}"])
    shutil.rmtree(path)


if __name__ == "__main__":
    main()
