"""Habitué beside DuckDB and ClickHouse, on the same events, in one run.

usage: peers.py --ask PROGRAM --habitue PROGRAM [--events N] [--work FOLDER] [--data FOLDER]

Makes the events (or takes those of --data), loads each engine, asks each question in a process of
its own, checks that the answers agree, and prints a table in Markdown: the median of the warm runs
in milliseconds, the ratio of the best peer to Habitué, the processor time and the peak memory.
`--only daily_active,funnel` and `--engines habitue,duckdb_sorted` ask less.

`--cold` measures the first question of a process instead, beside DuckDB over sorted Parquet files:
opening the database and the answer, without the loading of Python and its modules. Habitué has
nothing to leave out: its time is that of its whole process. The files are in the page cache.
"""
import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import questions
from engines import PEERS

WARM = ["habitue", "duckdb_log", "duckdb_sorted", "clickhouse"]
COLD = ["habitue", "duckdb_over_parquet"]
COLD_PROCESSES = 3


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
    command = [sys.executable, sys.argv[0], "--step", json.dumps([engine, action, *arguments]),
               "--work", str(wanted.work), "--data", str(wanted.data), "--ask", wanted.ask,
               "--habitue", wanted.habitue]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{engine} {action} {arguments} failed")
    return json.loads(done.stdout.splitlines()[-1])


def peer_of(engine, wanted):
    """An engine with its modules, so that nothing that is measured pays for them."""
    programs = {"ask": wanted.ask, "habitue": wanted.habitue}
    peer = PEERS[engine](engine, wanted.data, wanted.work, programs)
    for module in peer.modules:
        importlib.import_module(module)
    return peer


def measured(peer, work):
    """What a piece of work of an engine took, and what it answered."""
    # Habitué is a program of its own, the others live in this process.
    who = resource.RUSAGE_SELF if peer.modules else resource.RUSAGE_CHILDREN
    loading = resource.getrusage(who)
    start = time.perf_counter()
    answer = work()
    told = {"seconds": time.perf_counter() - start}
    usage = resource.getrusage(who)
    told["cpu"] = usage.ru_utime + usage.ru_stime
    told["cpu_loaded"] = told["cpu"] - loading.ru_utime - loading.ru_stime
    told["mb"] = usage.ru_maxrss / 1024
    return told, answer


def step(wanted):
    engine, action, *arguments = json.loads(wanted.step)
    peer = peer_of(engine, wanted)
    told, answer = measured(peer, lambda: getattr(peer, action)(*arguments))
    told |= {"milliseconds": None, "rows": None}
    if action == "load":
        told["bytes"] = peer.bytes()
    elif answer is not None:
        told["milliseconds"] = answer[0]
        told["rows"] = comparable(arguments[0], answer[1])
    print(json.dumps(told, default=str))


def load(wanted, engines):
    for engine in engines:
        loaded = in_own_process(engine, wanted, "load")
        print(f"{engine}: loaded in {loaded['seconds']:.1f} s, {loaded['bytes'] / 1e6:.0f} MB, "
              f"peak {loaded['mb']:.0f} MB", flush=True)


def note_of(name, known):
    """What stands behind the name of a question whose answers differ."""
    answers = {engine: json.dumps(told["rows"]) for engine, told in known.items()}
    if len(set(answers.values())) <= 1:
        return ""
    for engine, answer in answers.items():
        print(f"  {name}, {engine}: {answer[:200]}", file=sys.stderr)
    return " (answers differ!)"


def row_of(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def compare(wanted, names, engines):
    """The table of the warm runs; answers whether all answers agree."""
    peers = [engine for engine in engines if engine != "habitue"]
    row_of(["question", *engines, "best peer / Habitué", "Habitué s CPU, MB",
            "best peer s CPU, MB"])
    row_of(["---"] * (len(engines) + 4))
    all_agree = True
    for name in names:
        asked = {engine: in_own_process(engine, wanted, "ask", name, wanted.runs)
                 for engine in engines}
        known = {engine: told for engine, told in asked.items() if told["milliseconds"]}
        warm = {engine: statistics.median(told["milliseconds"][1:] or told["milliseconds"])
                for engine, told in known.items()}
        best = min((engine for engine in peers if engine in warm), key=warm.get, default=None)
        ratio = f"{warm[best] / warm['habitue']:.2f}" if best and "habitue" in warm else "–"
        cost = [f"{known[e]['cpu']:.2f}, {known[e]['mb']:.0f}" if e in known else "–"
                for e in ("habitue", best)]
        cells = [f"{warm[engine]:.1f}" if engine in warm else "–" for engine in engines]
        note = note_of(name, known)
        all_agree &= not note
        row_of([name + note, *cells, ratio, *cost])
    return all_agree


def compare_cold(wanted, names, engines):
    """The table of first questions; answers whether all answers agree."""
    own, peer = engines
    row_of(["question", *engines, f"{peer} / {own}", f"{own} s CPU, MB", f"{peer} s CPU, MB"])
    row_of(["---"] * 6)
    all_agree = True
    for name in names:
        if any(PEERS[engine].words[name] is None for engine in engines):
            continue
        # By turns, so that both meet the same machine. The first turn is not counted: it brings the
        # files into the page cache.
        turns = [{engine: in_own_process(engine, wanted, "ask", name, 1) for engine in engines}
                 for _ in range(COLD_PROCESSES + 1)][1:]
        seconds, cpu, mb = ([statistics.median(turn[engine][what] for turn in turns)
                             for engine in engines] for what in ("seconds", "cpu_loaded", "mb"))
        note = note_of(name, turns[0])
        all_agree &= not note
        row_of([name + note, *(f"{each * 1e3:.0f}" for each in seconds),
                f"{seconds[1] / seconds[0]:.2f}",
                *(f"{used:.2f}, {size:.0f}" for used, size in zip(cpu, mb))])
    return all_agree


def number(text):
    return int(float(text))


def arguments(description):
    """What every command wants to know that compares engines."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--events", type=number, default=2_000_000)
    parser.add_argument("--work", type=Path, default=Path("peers-work"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--ask", default="target/release/ask")
    parser.add_argument("--habitue", default="target/release/habitue")
    parser.add_argument("--only")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    return parser


def prepare(wanted):
    """The folders, and events where none are given."""
    wanted.work.mkdir(parents=True, exist_ok=True)
    if wanted.data is None:
        wanted.data = wanted.work / "data"
        if not (wanted.data / "meta.json").exists():
            # In a process of its own: Linux counts the memory of a parent as its child's peak.
            subprocess.run([sys.executable, Path(__file__).with_name("generate.py"),
                            str(wanted.events), wanted.data], check=True)
    wanted.data = wanted.data.resolve()


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--engines")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="ask what an earlier run loaded")
    parser.add_argument("--cold", action="store_true", help="the first question of a process")
    wanted = parser.parse_args()
    prepare(wanted)
    if wanted.step:
        return step(wanted)
    names = wanted.only.split(",") if wanted.only else questions.NAMES
    engines = wanted.engines.split(",") if wanted.engines else COLD if wanted.cold else WARM
    if not wanted.keep:
        load(wanted, engines)
    print()
    all_agree = (compare_cold if wanted.cold else compare)(wanted, names, engines)
    sys.exit(0 if all_agree else 1)


if __name__ == "__main__":
    main()
