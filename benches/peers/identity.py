"""From strings to customers: Habitué's connected_components() beside pyarrow and SciPy.

usage: identity.py --ask PROGRAM --habitue PROGRAM [--data FOLDER] [--database FOLDER]

Both read devices and logins from Parquet and answer a table: each identifier, and what it belongs
to. Once from the links alone (edges.parquet), once from all events, in which a device without a
login is a customer of its own. Both answers must be the same partition. What is printed is the
median of the runs after the first, in milliseconds, in a process of its own each, two threads.

For pyarrow the faster of two ways counts: encode all texts and link the codes, or find the distinct
pairs first. --database is one that has taken in these events: how long it takes to read its map,
and to compute it again from its links, is printed too. Nothing stands beside those figures.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engines import THREADS, Habitue

COLUMNS = ["anonymous_id", "user_id"]
SOURCES = ["edges.parquet", "events"]
WAYS = ["encode", "distinct"]


def pairs(path, way):
    """The devices and their logins: as they come, or each pair once."""
    import pyarrow.parquet
    table = pyarrow.parquet.read_table(path, columns=COLUMNS)
    return table if way == "encode" else table.group_by(COLUMNS).aggregate([])


def customers_of(table):
    """Each identifier and the number of its customer."""
    import numpy as np
    import pyarrow as pa
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    # One array first: the dictionaries of many chunks would have to be merged.
    device, login = (pa.concat_arrays(table[name].chunks).dictionary_encode() for name in COLUMNS)
    devices, count = len(device.dictionary), len(device.dictionary) + len(login.dictionary)
    one, other = (side.indices.fill_null(-1).to_numpy() for side in (device, login))
    known = other >= 0
    links = coo_matrix((np.ones(known.sum(), np.int8), (one[known], other[known] + devices)),
                       shape=(count, count))
    customer = connected_components(links, directed=False)[1]
    return pa.table({"identifier": pa.chunked_array([device.dictionary, login.dictionary]),
                     "customer": customer})


def by_pyarrow(wanted, source, way):
    import pyarrow
    import scipy.sparse.csgraph  # noqa: F401 - or the first run would pay for it
    pyarrow.set_cpu_count(THREADS)
    milliseconds = []
    for _ in range(wanted.runs):
        start = time.perf_counter()
        answer = customers_of(pairs(wanted.data / source, way))
        milliseconds.append((time.perf_counter() - start) * 1e3)
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return answer, {"milliseconds": milliseconds, "mb": mb}


def by_habitue(wanted, source, database):
    told = habitue_at(wanted, database).answer(
        "SELECT * FROM connected_components((SELECT anonymous_id, user_id FROM "
        f"'{wanted.data / source}'), anonymous_id, user_id)", wanted.runs)
    import pyarrow
    columns = [list(column) for column in zip(*told.pop("rows"))]
    return pyarrow.table(columns, ["identifier", "customer"]), told


def habitue_at(wanted, database):
    programs = {"habitue": wanted.habitue, "ask": wanted.ask}
    return Habitue(database.name, wanted.data, database.parent, programs)


def step(wanted):
    """One way in this process; the answer goes to a file, to be compared."""
    source, way, scratch = json.loads(wanted.step)
    if way == "habitue":
        answer, told = by_habitue(wanted, source, Path(scratch) / "habitue")
    else:
        answer, told = by_pyarrow(wanted, source, way)
    import pyarrow.parquet
    pyarrow.parquet.write_table(answer, answer_file(Path(scratch), source, way))
    print(json.dumps(told))


def answer_file(scratch, source, way):
    return scratch / f"{source}-{way}"


def in_own_process(wanted, source, way, scratch):
    command = [sys.executable, __file__, "--step", json.dumps([source, way, str(scratch)]),
               "--data", str(wanted.data), "--runs", str(wanted.runs), "--ask", wanted.ask]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout)
    each = ", ".join(f"{milliseconds:.0f}" for milliseconds in told["milliseconds"])
    print(f"{source}, {way}: {each} ms", file=sys.stderr, flush=True)
    return told


def warm(told):
    return statistics.median(told["milliseconds"][1:] or told["milliseconds"])


def answer_of(scratch, source, way):
    """Which customer each identifier belongs to."""
    import pyarrow.parquet
    answer = pyarrow.parquet.read_table(answer_file(scratch, source, way))
    return dict(zip(*(column.to_pylist() for column in answer.columns)))


def is_same_partition(ours, theirs):
    """Whether two maps have the same keys and tell the same keys apart."""
    if ours.keys() != theirs.keys():
        return False
    pairs_of_names = {(ours[key], theirs[key]) for key in ours}
    return len(pairs_of_names) == len(set(ours.values())) == len(set(theirs.values()))


def row_of(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def compare(wanted, scratch, told):
    """The table; answers whether all answers agree."""
    row_of(["from", "identifiers", "customers", "Habitué", "pyarrow + SciPy",
            "pyarrow + SciPy / Habitué", "Habitué MB", "pyarrow + SciPy MB"])
    row_of(["---"] * 8)
    all_agree = True
    for source in SOURCES:
        ours = answer_of(scratch, source, "habitue")
        agree = all(is_same_partition(ours, answer_of(scratch, source, way)) for way in WAYS)
        all_agree &= agree
        own, peer = told[source]["habitue"], min((told[source][way] for way in WAYS), key=warm)
        row_of([source + ("" if agree else " (answers differ!)"), str(len(ours)),
                str(len(set(ours.values()))), f"{warm(own):.0f}", f"{warm(peer):.0f}",
                f"{warm(peer) / warm(own):.2f}", f"{own['mb']:.0f}", f"{peer['mb']:.0f}"])
    return all_agree


def ask_database(wanted):
    """What takes part in no comparison: the map that a database has."""
    # Only the largest: the text of all identifiers would be counted as the program's memory.
    for what, sql in [
        ("read", "SELECT max(value), max(customer_id) FROM identifiers"),
        ("computed again", "REBUILD IDENTITIES VERIFY"),
    ]:
        told = habitue_at(wanted, wanted.database.resolve()).answer(sql, wanted.runs)
        print(f"The map of the database, {what}: {warm(told):.0f} ms, {told['mb']:.0f} MB.")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("peers-work/data"))
    parser.add_argument("--database", type=Path)
    parser.add_argument("--ask", default="target/release/ask")
    parser.add_argument("--habitue", default="target/release/habitue")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    wanted.data = wanted.data.resolve()
    if wanted.step:
        return step(wanted)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        habitue_at(wanted, scratch / "habitue").make()
        # Compared at last: Linux counts the memory of a parent as its child's peak.
        told = {source: {way: in_own_process(wanted, source, way, scratch)
                         for way in ["habitue", *WAYS]} for source in SOURCES}
        if wanted.database:
            ask_database(wanted)
        sys.exit(0 if compare(wanted, scratch, told) else 1)


if __name__ == "__main__":
    main()
