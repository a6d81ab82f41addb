"""How time and memory grow with the number of events.

usage: growth.py --ask PROGRAM --habitue PROGRAM [--events 2e6,20e6,100e6] [--work FOLDER]

Makes a database of each size, compacts it, asks each question in a process of its own, and prints a
table in Markdown: nanoseconds per event (the median of the warm runs), the peak memory of the
process, and how much each grew from the first size to the last. 1.0 is time in proportion to the
events, less is better than that.

The events come in parts, each with people of its own and over the same days, and a part is deleted
when it was taken in: more events are more customers. A database that is already in WORK is asked as
it is. There is no peer here.
"""
import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import questions
from engines import MEMORY, SEGMENTS, THREADS, Habitue

GENERATE = Path(__file__).with_name("generate.py")
EVENTS_PER_PART = 10_000_000
# Of a thousand customers.
SEGMENT_SHARES = [100, 150, 200, 250, 300, 350, 400, 500, 10]
FACTORS = [7919, 6841, 5923, 4931, 3947, 2953, 1949, 1051, 9973]
DEVICE = ("SELECT min(anonymous_id) FROM events GROUP BY customer_id "
          "ORDER BY abs(count(*) - 200), customer_id LIMIT 1")


def make(wanted, events, folder):
    """A compacted database of so many events, without what compaction replaced."""
    peer = engine(wanted, folder)
    folder.mkdir(parents=True)
    peer.make()
    start = time.perf_counter()
    taking_in = 0.0
    for part, first in enumerate(range(0, events, EVENTS_PER_PART)):
        source = folder / "source"
        # In a process of its own: Linux counts the memory of a parent as its child's peak.
        subprocess.run([sys.executable, GENERATE, str(min(EVENTS_PER_PART, events - first)), source,
                        "--part", str(part), "--files", "4"], check=True)
        began = time.perf_counter()
        peer.ingest(source / "events")
        taking_in += time.perf_counter() - began
        shutil.rmtree(source)
    # What compaction replaces is deleted at once.
    peer.run("maintain", str(peer.path), "--keep-last", "1", "--grace", "0s")
    for name, share, factor in zip(SEGMENTS, SEGMENT_SHARES, FACTORS):
        peer.run("sql", str(peer.path), "-c",
                 f"CREATE STATIC SEGMENT {name} AS SELECT DISTINCT customer_id FROM identifiers "
                 f"WHERE customer_id * {factor} % 1000 < {share}")
    print(f"{named(events)}: made in {time.perf_counter() - start:.0f} s, of which ingest "
          f"{taking_in:.0f} s; {peer.bytes() / 1e6:.0f} MB", file=sys.stderr, flush=True)


def engine(wanted, folder):
    return Habitue("habitue", None, folder, {"habitue": wanted.habitue, "ask": wanted.ask})


def named(events):
    return f"{events / 1e6:g} M"


def measure(wanted, events, names):
    """For each question: nanoseconds per event, and MB."""
    folder = wanted.work / str(events)
    if not folder.exists():
        unfinished = wanted.work / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make(wanted, events, unfinished)
        unfinished.rename(folder)
    peer = engine(wanted, folder)
    count = int(peer.answer("SELECT count(*) FROM events", 1)["rows"][0][0])
    assert count == events, f"{folder} has {count} events"
    device = peer.answer(DEVICE, 1)["rows"][0][0]
    measured = {}
    for name in names:
        told = peer.answer(questions.HABITUE[name].replace("{device}", device), wanted.runs)
        warm = statistics.median(told["milliseconds"][1:] or told["milliseconds"])
        measured[name] = warm * 1e6 / events, told["mb"]
        print(f"{named(events)}, {name}: {warm:.1f} ms, {told['mb']:.0f} MB", file=sys.stderr,
              flush=True)
    return measured


def row_of(cells):
    print(f"| {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="2e6,20e6,100e6")
    parser.add_argument("--work", type=Path, default=Path("growth-work"))
    parser.add_argument("--ask", default="target/release/ask")
    parser.add_argument("--habitue", default="target/release/habitue")
    parser.add_argument("--only")
    parser.add_argument("--runs", type=int, default=4)
    wanted = parser.parse_args()
    sizes = [int(float(size)) for size in wanted.events.split(",")]
    names = wanted.only.split(",") if wanted.only else questions.NAMES
    measured = {events: measure(wanted, events, names) for events in sizes}
    growth = f"{named(sizes[-1])} : {named(sizes[0])}"
    print(f"{THREADS} threads, at most {MEMORY / 1e9:g} GB\n")
    row_of(["question", *(f"{named(events)}, ns per event" for events in sizes), growth,
            *(f"{named(events)}, MB" for events in sizes), growth])
    row_of(["---"] * (2 * len(sizes) + 3))
    for name in names:
        time_of, mb_of = ([measured[events][name][what] for events in sizes] for what in (0, 1))
        row_of([name, *(f"{ns:.2f}" for ns in time_of), f"{time_of[-1] / time_of[0]:.2f}",
                *(f"{mb:.0f}" for mb in mb_of), f"{mb_of[-1] / mb_of[0]:.2f}"])


if __name__ == "__main__":
    main()
