"""How fast a large result reaches its client, in GB/s of Arrow memory.

usage: throughput.py PROGRAM [--events 20000000] [--runs 5] [--work FOLDER] [-- ARGUMENTS OF serve]

- habitue: `SELECT ts, customer_id, amount FROM events` and, with texts, `event_id, ts, event` over
  Flight SQL on loopback, read by pyarrow's own Flight client, which does nothing but decode.
- plain flight: the same record batches from the memory of a server of pyarrow.flight, which computes
  nothing. What Habitué cannot be faster than.
- duckdb: the same columns as a table in its own format, read as Arrow in its own process, without a
  network in between.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time

import pyarrow as pa
import pyarrow.flight as flight

import shop

QUESTIONS = {
    "numbers": "SELECT ts, customer_id, amount FROM events",
    "texts": "SELECT event_id, ts, event FROM events",
}


def read(stream):
    """Bytes and rows of a stream of record batches."""
    total = rows = 0
    for chunk in stream:
        batch = getattr(chunk, "data", chunk)
        total += batch.nbytes
        rows += batch.num_rows
    return total, rows


def log_in(client):
    """The session's token, as every further call brings it."""
    return client.authenticate_basic_token("ada", shop.PASSWORD)


def varint(number):
    text = bytearray()
    while number > 127:
        text.append(number & 127 | 128)
        number >>= 7
    return bytes(text + bytes([number]))


def command(sql):
    """A CommandStatementQuery as Flight SQL wraps it, without a Protobuf library."""
    text = sql.encode()
    inner = b"\x0a" + varint(len(text)) + text
    kind = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return b"\x0a" + varint(len(kind)) + kind + b"\x12" + varint(len(inner)) + inner


class Plain(flight.FlightServerBase):
    """Streams what it was given."""

    def __init__(self, path, ready):
        super().__init__("grpc://127.0.0.1:0")
        with pa.memory_map(path) as source:
            self.table = pa.ipc.open_file(source).read_all()
        ready.put(self.port)

    def do_get(self, _context, _ticket):
        return flight.RecordBatchStream(self.table)


def serve_plain(path, ready):
    Plain(path, ready).serve()


def from_plain(port):
    def ask():
        with flight.connect(f"grpc://127.0.0.1:{port}") as client:
            return read(client.do_get(flight.Ticket(b"")))
    return ask


def from_duckdb(table):
    import duckdb
    connection = duckdb.connect()
    connection.register("arrived", table)
    connection.execute("CREATE TABLE events AS SELECT * FROM arrived")
    names = ", ".join(table.column_names)
    return lambda: read(connection.sql(f"SELECT {names} FROM events").to_arrow_reader(65536))


def measured(name, kind, runs, ask):
    rates, seconds = [], []
    for _ in range(runs):
        begin = time.perf_counter()
        total, rows = ask()
        seconds.append(time.perf_counter() - begin)
        rates.append(total / seconds[-1] / 1e9)
    print(f"{kind:<10}{name:<14}{rows:>12} rows{total / 1e6:>10.0f} MB"
          f"{statistics.median(seconds):>9.3f} s{statistics.median(rates):>8.2f} GB/s", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work")
    parser.add_argument("serve", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, shop.Server(
            arguments.program, arguments.work or temporary, arguments.events, arguments.serve) as server:
        for kind, sql in QUESTIONS.items():
            with flight.connect(f"grpc://127.0.0.1:{server.ports['flight']}") as client:
                options = flight.FlightCallOptions(headers=[log_in(client)])

                def stream():
                    asked = flight.FlightDescriptor.for_command(command(sql))
                    info = client.get_flight_info(asked, options)
                    return client.do_get(info.endpoints[0].ticket, options)

                table = stream().read_all()
                measured("habitue", kind, arguments.runs, lambda: read(stream()))
            path = f"{temporary}/{kind}.arrow"
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            ready = multiprocessing.Queue()
            plain = multiprocessing.Process(target=serve_plain, args=(path, ready), daemon=True)
            plain.start()
            measured("plain flight", kind, arguments.runs, from_plain(ready.get(timeout=60)))
            plain.terminate()
            plain.join()
            measured("duckdb", kind, arguments.runs, from_duckdb(table))
            del table


if __name__ == "__main__":
    main()
