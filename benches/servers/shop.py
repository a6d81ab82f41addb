"""A database of generated events, and a server over it, for the programs beside this file."""

import pathlib
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS = ["page_view", "product_view", "add_to_cart", "purchase", "login"]
SHARES = [0.45, 0.3, 0.12, 0.05, 0.08]
CHANNELS = ["web", "app", "store"]
START_US, DAYS, DAY_US = 1_735_689_600_000_000, 180, 86_400_000_000
EVENTS_PER_PERSON = 30
PASSWORD = "only for this test"


def events(count, seed=7):
    """Events of people on their devices, in no order."""
    random = np.random.default_rng(seed)
    people = random.integers(0, people_of(count), count)
    kinds = random.choice(len(EVENTS), count, p=SHARES)
    amounts = np.where(kinds == 3, random.integers(100, 20_000, count), 0)
    known = np.isin(kinds, [3, 4])
    numbers = pa.array(np.arange(count))
    people_text = pa.array(people).cast(pa.string())
    empty = pa.nulls(count, pa.string())
    joined = pa.compute.binary_join_element_wise
    return pa.table({
        "event_id": joined("e", numbers.cast(pa.string()), ""),
        "ts": pa.array(random.integers(START_US, START_US + DAYS * DAY_US, count),
                       pa.timestamp("us", "UTC")),
        "event": pa.DictionaryArray.from_arrays(kinds, EVENTS).cast(pa.string()),
        "channel": pa.array(CHANNELS).take(pa.array(random.integers(0, 3, count))),
        "anonymous_id": joined("d", people_text, ""),
        "user_id": pa.compute.if_else(pa.array(known), joined("u", people_text, ""), empty),
        "amount": pa.compute.if_else(pa.array(kinds == 3), pa.array(amounts / 100.0),
                                     pa.nulls(count, pa.float64())),
    })


def people_of(count):
    return max(count // EVENTS_PER_PERSON, 10)


class Server:
    """`habitue serve` over a database of so many events; it ends with the block."""

    def __init__(self, program, folder, count, arguments=()):
        self.program, self.arguments = program, list(arguments)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = self.folder / f"shop_{count}"
        if not self.database.exists():
            self.fill(count)

    def fill(self, count):
        source = self.folder / "events.parquet"
        pq.write_table(events(count), source)
        unfinished = self.database.with_suffix(".unfinished")
        for words in (["init", unfinished], ["ingest", unfinished, source],
                      ["maintain", unfinished]):
            subprocess.run([self.program, *words], check=True, stdout=subprocess.DEVNULL)
        source.unlink()
        unfinished.rename(self.database)

    def __enter__(self):
        users = self.folder / "users.json"
        users.unlink(missing_ok=True)
        subprocess.run([self.program, "user", "add", users, "ada", "--role", "admin",
                        "--password-stdin"], input=PASSWORD, text=True, check=True,
                       stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [self.program, "serve", self.database, "--flight", "127.0.0.1:0",
             "--postgres", "127.0.0.1:0", "--users", users, *self.arguments],
            stdout=subprocess.PIPE, text=True)
        self.ports = {}
        while len(self.ports) < 2:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the server did not start")
            if line.startswith("listening."):
                facts = dict(fact.split("=") for fact in line.split()[1:])
                self.ports[facts["protocol"]] = int(facts["address"].rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def memory_mib(self):
        """What the server holds of the machine's memory."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def processor_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


def connect_postgres(port):
    import psycopg
    return psycopg.connect(host="127.0.0.1", port=port, user="ada", password=PASSWORD,
                           dbname="habitue", autocommit=True)


def connect_flight(port):
    import adbc_driver_flightsql.dbapi
    for attempt in range(3):
        try:
            return adbc_driver_flightsql.dbapi.connect(
                f"grpc://127.0.0.1:{port}",
                db_kwargs={"username": "ada", "password": PASSWORD}, autocommit=True)
        except Exception:
            if attempt == 2:
                raise
            time.sleep(0.5)
