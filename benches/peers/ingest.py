"""How fast events are taken in: Habitué beside DuckDB and ClickHouse.

usage: ingest.py --ask PROGRAM --habitue PROGRAM [--events N] [--work FOLDER] [--data FOLDER]

Takes the events that peers.py takes, from Parquet files in the order of the log, and the first
--ndjson-events of them from one file of NDJSON, which it writes before. Checks the number of events
in each engine, and of customers where the peers have them, and prints a table in Markdown: the
median of the runs in millions of events per second, the processor time, the peak memory, and the
time of the best peer over that of Habitué. `--only parquet` or `--only ndjson` does one of both.

Every step is a process of its own with two threads, from the opening of the database; Python, its
modules and the making of an empty database are not counted. The files are in the page cache. From
Parquet the peers get customer_id as a ready column, from NDJSON they do without; Habitué finds the
customers of both. No database is kept: there is never more than one.
"""
import json
import os
import shutil
import statistics
import sys
from pathlib import Path

from engines import meta
from peers import arguments, in_own_process, measured, number, peer_of, prepare, row_of

NAMES = {"habitue": "Habitué", "duckdb_log": "DuckDB", "duckdb_sorted": "DuckDB",
         "clickhouse": "ClickHouse"}
# What each engine does with a source, step by step.
STEPS = {
    "parquet": {"habitue": ["ingest", "compact"], "duckdb_log": ["ingest"],
                "duckdb_sorted": ["ingest_sorted"], "clickhouse": ["ingest", "compact"]},
    "ndjson": {"habitue": ["ingest"], "duckdb_log": ["ingest"], "clickhouse": ["ingest"]},
}
# What is told of it, and the steps which that is.
TOLD = {
    "parquet": {
        "Parquet, committed": {"habitue": ["ingest"], "duckdb_log": ["ingest"],
                               "clickhouse": ["ingest"]},
        "compacted afterwards": {"habitue": ["compact"], "clickhouse": ["compact"]},
        "Parquet, by customer": {"habitue": ["ingest", "compact"],
                                 "duckdb_sorted": ["ingest_sorted"],
                                 "clickhouse": ["ingest", "compact"]},
    },
    "ndjson": {"NDJSON, committed": STEPS["ndjson"]},
}
# One object per line, as a log has it: what is not known is left out.
LINES = """
    COPY (SELECT json_merge_patch('{{}}', json_object(
        'event_id', event_id, 'ts', strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
        'event', event_name, 'anonymous_id', anonymous_id, 'user_id', user_id, 'channel', channel,
        'amount', amount, 'product_id', product_id, 'campaign', campaign_id, 'country', country,
        'properties', properties::JSON))
    FROM '{log}/*.parquet' LIMIT {count})
    TO '{target}' (FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '')
"""


def tell(text):
    print(text, file=sys.stderr, flush=True)


def write_ndjson(wanted, target, count):
    import duckdb
    duckdb.execute("SET TimeZone = 'UTC'")
    duckdb.execute(LINES.format(log=wanted.data / "events", target=target, count=count))


def read_once(source):
    """Brings the files into the page cache, and what others wrote to the disk."""
    for file in [source] if source.is_file() else sorted(source.glob("*.parquet")):
        with file.open("rb") as bytes_of:
            while bytes_of.read(1 << 20):
                pass
    os.sync()


def step(wanted):
    """One step of one engine in this process; prints what it took."""
    engine, action, *rest = json.loads(wanted.step)
    if action == "write_ndjson":
        write_ndjson(wanted, *rest)
        return print("null")
    peer = peer_of(engine, wanted)
    if action == "count":
        return print(json.dumps([peer.count(what) for what in rest]))
    if action in ("make", "remove"):
        return print(json.dumps(getattr(peer, action)()))
    sources = [Path(source) for source in rest]
    for source in sources:
        read_once(source)
    told, _ = measured(peer, lambda: getattr(peer, action)(*sources))
    print(json.dumps(told))


def run(wanted, engine, source, steps, expected):
    """An empty database, each step of an engine, and whether all is there."""
    in_own_process(engine, wanted, "make")
    told = {}
    for action in steps:
        given = [] if action == "compact" else [str(source)]
        told[action] = in_own_process(engine, wanted, action, *given)
        tell(f"{engine}, {source.name}, {action}: {told[action]['seconds']:.2f} s")
    counted = in_own_process(engine, wanted, "count", *expected)
    if counted != list(expected.values()):
        sys.exit(f"{engine}, {source.name}: {dict(zip(expected, counted))}, wanted {expected}")
    in_own_process(engine, wanted, "remove")
    return told


def source_of(wanted, name):
    """Where the events are, and what has to be counted when they were taken in."""
    known = meta(wanted.data)
    if name == "parquet":
        return wanted.data / "events", {"*": known["n_events"],
                                        "DISTINCT customer_id": known["customers"]}
    count = min(wanted.ndjson_events, known["n_events"])
    target = (wanted.work / "events.ndjson").resolve()
    in_own_process("duckdb_log", wanted, "write_ndjson", str(target), count)
    tell(f"{target.name}: {count} events, {target.stat().st_size / 1e6:.0f} MB")
    return target, {"*": count}


def cost(runs, engine, steps):
    """Seconds, processor seconds and MB of these steps together: the median of the runs."""
    def together(what, add):
        return statistics.median(add(turn[engine][action][what] for action in steps)
                                 for turn in runs)
    return together("seconds", sum), together("cpu_loaded", sum), together("mb", max)


def tell_row(what, runs, steps_of, events):
    costs = {engine: cost(runs, engine, steps) for engine, steps in steps_of.items()}
    best = min(seconds for engine, (seconds, *_) in costs.items() if engine != "habitue")
    for engine, (seconds, cpu, mb) in costs.items():
        ratio = f"{best / seconds:.2f}" if engine == "habitue" else "–"
        row_of([what, NAMES[engine], f"{events / seconds / 1e6:.2f}", f"{cpu:.1f}", f"{mb:.0f}",
                ratio])


def compare(wanted, names):
    measured_runs = {}
    for name in names:
        source, expected = source_of(wanted, name)
        # By turns, so that all meet the same machine.
        runs = [{engine: run(wanted, engine, source, steps, expected)
                 for engine, steps in STEPS[name].items()} for _ in range(wanted.runs)]
        measured_runs[name] = runs, expected["*"]
        if name == "ndjson":
            source.unlink()
    row_of(["what", "engine", "M events/s", "s CPU", "peak MB", "best peer's time / Habitué's"])
    row_of(["---"] * 6)
    for name, (runs, events) in measured_runs.items():
        for what, steps_of in TOLD[name].items():
            tell_row(what, runs, steps_of, events)


def check(parser, wanted, names):
    """Says at once what would fail later."""
    for name in names:
        if name not in STEPS:
            parser.error(f"--only: no such source. got={name}, wanted={','.join(STEPS)}")
    if wanted.runs < 1 or wanted.ndjson_events < 1:
        parser.error("--runs and --ndjson-events begin at 1")
    for program in (wanted.ask, wanted.habitue):
        if shutil.which(program) is None:
            parser.error(f"no such program. path={program}")
    if wanted.data and not ((wanted.data / "meta.json").is_file()
                            and any((wanted.data / "events").glob("*.parquet"))):
        parser.error(f"--data: wanted meta.json and events/*.parquet. path={wanted.data}")


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--ndjson-events", type=number, default=1_000_000)
    wanted = parser.parse_args()
    names = wanted.only.split(",") if wanted.only else list(STEPS)
    check(parser, wanted, names)
    prepare(wanted)
    if wanted.step:
        return step(wanted)
    # A folder of its own: the databases of peers.py stay.
    wanted.work = wanted.work / "ingest"
    wanted.work.mkdir(exist_ok=True)
    compare(wanted, names)
    shutil.rmtree(wanted.work)


if __name__ == "__main__":
    main()
