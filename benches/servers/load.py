"""Many clients with mixed questions over both protocols of one `habitue serve`.

usage: load.py PROGRAM [--seconds 600] [--clients 64] [--events 2000000] [--work FOLDER]
               [-- ARGUMENTS OF habitue serve]

Of each sixteen clients eight ask small questions (`SELECT 1`, the profile of a customer) without a
pause, five ask heavy ones, one reads a large result, and two begin a question without an end and
cancel it. Half of them speak Flight SQL, half the Postgres protocol. The clients are threads of
several processes, so that their interpreter is not what is measured.

Told are: how many answers and errors, latencies of the small questions and of cancelling (from the
wish to the error), the memory of the server over time. The run fails when there was an error, when
an answer was wrong, or, in a run of two minutes and more, when memory grew: when its median in the last
quarter is more than a third above that of the second.
"""

import argparse
import collections
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time

import shop

PROCESSES = 8
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000000000) AS a(n) WHERE n % 7 = 3"
HEAVY = [
    "SELECT event, channel, count(*), sum(amount), count(DISTINCT customer_id) FROM events "
    "GROUP BY event, channel",
    "SELECT * FROM funnel(events, event = 'product_view', event = 'add_to_cart', "
    "event = 'purchase', within => INTERVAL '7' DAY) ORDER BY step",
    "SELECT customer_id, count(*) AS n, max(ts) FROM events GROUP BY customer_id "
    "ORDER BY n DESC, customer_id LIMIT 10",
    "SELECT date_trunc('day', ts) AS day, count(*), sum(amount) FROM events GROUP BY day ORDER BY day",
    "SELECT * FROM (SELECT event_id, ts FROM events ORDER BY ts DESC, event_id LIMIT 100) AS a",
]
LARGE = "SELECT event_id, ts, event, customer_id, amount FROM events LIMIT 500000"
ROLES = ["one", "profile", "one", "profile", "one", "profile", "profile", "one",
         "heavy", "heavy", "heavy", "heavy", "heavy", "large", "cancel", "cancel"]


def profile_of(person):
    return ("SELECT event, count(*) AS n, max(ts) AS last FROM events "
            f"WHERE customer_id = customer_of('anonymous_id', 'd{person}') GROUP BY event")


class Postgres:
    name = "postgres"

    def __init__(self, port):
        self.connection = shop.connect_postgres(port)

    def rows(self, sql):
        return self.connection.execute(sql).fetchall()

    def cancel(self):
        self.connection.cancel_safe()

    @staticmethod
    def was_cancelled(error):
        return getattr(error, "sqlstate", None) == "57014"


class Flight:
    name = "flight"

    def __init__(self, port):
        self.connection = shop.connect_flight(port)
        self.cursor = self.connection.cursor()

    def rows(self, sql):
        self.cursor.execute(sql)
        count = 0
        first = None
        for batch in self.cursor.fetch_record_batch():
            first = batch if first is None else first
            count += batch.num_rows
        # Only small answers are looked at row by row.
        return list(range(count)) if count > 1000 or not count else first.to_pylist()

    def cancel(self):
        self.cursor.adbc_cancel()

    @staticmethod
    def was_cancelled(error):
        return "cancel" in str(error).lower()


class Clients:
    """The clients of one process."""

    def __init__(self, ports, people, until):
        self.ports, self.people, self.until = ports, people, until
        self.lock = threading.Lock()
        self.seconds = collections.defaultdict(list)
        self.errors = []

    def work(self, number):
        role = ROLES[number % len(ROLES)]
        protocol = (Postgres, Flight)[(number // 2 + number) % 2]
        chance = random.Random(number)
        try:
            client = protocol(self.ports[protocol.name])
            while time.time() < self.until:
                self.ask(client, role, chance)
        except Exception as error:  # what any client meets is counted
            with self.lock:
                self.errors.append(f"{protocol.name} {role}: {str(error)[:300]}")

    def ask(self, client, role, chance):
        begin = time.perf_counter()
        if role == "cancel":
            begin = self.cancelled(client, chance)
        elif role == "one":
            self.expect(len(client.rows("SELECT 1")) == 1, "SELECT 1")
        elif role == "profile":
            rows = client.rows(profile_of(chance.randrange(self.people)))
            self.expect(len(rows) <= len(shop.EVENTS), "a profile")
        elif role == "large":
            self.expect(len(client.rows(LARGE)) > 1000, "a large result")
        else:
            self.expect(len(client.rows(chance.choice(HEAVY))) > 0, "a heavy question")
        seconds = time.perf_counter() - begin
        with self.lock:
            self.seconds[f"{role} {client.name}"].append(seconds)

    def expect(self, holds, what):
        if not holds:
            raise AssertionError(f"{what} has a wrong answer")

    def cancelled(self, client, chance):
        """Cancels a question that runs, and answers when it was cancelled."""
        wished = []

        def cancel():
            wished.append(time.perf_counter())
            client.cancel()

        timer = threading.Timer(chance.uniform(0.2, 1.0), cancel)
        timer.start()
        try:
            client.rows(ENDLESS)
            raise AssertionError("a question without an end was answered")
        except AssertionError:
            raise
        except Exception as error:
            if not client.was_cancelled(error):
                raise
        ended = time.perf_counter()
        timer.join()
        return time.perf_counter() - (ended - wished[0])


def process(numbers, ports, people, until, results):
    clients = Clients(ports, people, until)
    threads = [threading.Thread(target=clients.work, args=[number]) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((dict(clients.seconds), clients.errors))


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def watched(server, until):
    """The memory of the server, so many times until the clients stop."""
    memory = []
    while time.time() < until:
        memory.append(server.memory_mib())
        time.sleep(min(1.0, max(0.05, until - time.time())))
    return memory


def report(seconds, errors, memory, processor, duration):
    print(f"{'question':<20}{'answers':>10}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name in sorted(seconds):
        values = [1000 * value for value in seconds[name]]
        print(f"{name:<20}{len(values):>10}{statistics.median(values):>10.1f}"
              f"{percentile(values, 0.99):>10.1f}{max(values):>10.1f}")
    quarter = max(1, len(memory) // 4)
    second = statistics.median(memory[quarter:2 * quarter] or memory)
    last = statistics.median(memory[-quarter:])
    print(f"memory MiB: start {memory[0]:.0f}, second quarter {second:.0f}, last quarter {last:.0f}, "
          f"most {max(memory):.0f}; processor {processor / duration:.2f} of the cores")
    print(f"errors: {len(errors)}")
    for error, count in collections.Counter(errors).most_common(10):
        print(f"  {count} × {error}")
    return duration >= 120 and last > second * 4 / 3


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--work")
    parser.add_argument("serve", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, shop.Server(
            arguments.program, arguments.work or temporary, arguments.events, arguments.serve) as server:
        results = multiprocessing.Queue()
        # Every process has some clients of each kind.
        until = time.time() + 2 + arguments.seconds
        people = shop.people_of(arguments.events)
        processes = [
            multiprocessing.Process(target=process, args=(
                range(part, arguments.clients, PROCESSES), server.ports, people, until, results))
            for part in range(PROCESSES)
        ]
        for one in processes:
            one.start()
        before, begin = server.processor_seconds(), time.time()
        memory = watched(server, until)
        seconds, errors = collections.defaultdict(list), []
        for _ in processes:
            found, failed = results.get(timeout=600)
            errors += failed
            for name, values in found.items():
                seconds[name] += values
        for one in processes:
            one.join()
        processor, duration = server.processor_seconds() - before, time.time() - begin
    grew = report(seconds, errors, memory, processor, duration)
    if grew:
        print("the memory of the server grew")
    sys.exit(1 if errors or grew else 0)


if __name__ == "__main__":
    main()
