"""Customer events from a seed: what every engine of the comparison is loaded with.

usage: generate.py EVENTS FOLDER [--seed 7] [--files 8] [--part N]

FOLDER/events/*.parquet         in the order of time, as a log has them
FOLDER/events_sorted/*.parquet  the same rows, sorted by (customer_id, ts)
FOLDER/edges.parquet            which device showed which login
FOLDER/idmap.parquet            which customer each device belongs to: the truth
FOLDER/segments.parquet         customer_id and eight segments, and a small one
FOLDER/meta.json                what the questions need to know

A customer is a connected component of devices and logins. Times are unique, so that no answer
depends on the order of rows. The peers get customer_id as a column; Habitué gets the device and the
login and must find it.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

EVENTS = ["page_view", "product_view", "search", "add_to_cart", "checkout_start", "purchase",
          "login", "signup", "email_open", "email_click", "refund", "support_ticket"]
SHARES = [.34, .24, .12, .07, .03, .022, .05, .008, .07, .03, .01, .01]
CHANNELS = ["web", "app", "store", "email", "sms"]
COUNTRIES = ["US", "DE", "GB", "FR", "JP", "BR", "IN", "ES"]
SEGMENT_SHARES = [.1, .15, .2, .25, .3, .35, .4, .5]
START_US = 1_735_689_600_000_000
DAYS = 180
DAY_US = 86_400_000_000
EVENTS_PER_PERSON = 33
EVENTS_PER_SESSION = 5
PRODUCTS = 5_000


def people_of_sessions(random, sessions, people):
    """Few people come often, many come once."""
    return np.minimum((people * random.random(sessions) ** 2.2).astype(np.int64), people - 1)


def times_of(random, session, sessions):
    """Sessions begin by day and by night, their events follow within minutes, all times differ."""
    begin = START_US + (random.beta(1.1, 1.0, sessions) * (DAYS - 1) * DAY_US).astype(np.int64)
    step = random.exponential(45e6, len(session)).astype(np.int64) + 1_000_000
    within = np.cumsum(step)
    first = np.searchsorted(session, np.arange(sessions))
    events_of_session = np.diff(np.append(first, len(session)))
    # The last sessions may be empty and begin behind the end.
    first = np.minimum(first, len(session) - 1)
    within -= np.repeat(within[first] - step[first], events_of_session)
    return begin[session] + within


def customers_of(device, login, devices, people):
    """The number of each device's customer: connected components, numbered by first appearance."""
    known = login >= 0
    links = coo_matrix((np.ones(known.sum(), np.int8), (device[known], login[known] + devices)),
                       shape=(devices + people, devices + people))
    component = connected_components(links, directed=False)[1][:devices]
    _, first = np.unique(component[device], return_index=True)
    seen = component[device][np.sort(first)]
    number = np.full(component.max() + 1, -1, np.int64)
    number[seen] = np.arange(len(seen))
    return number[component]


def columns(events, seed, offset=0):
    """The events as columns of numbers; people, devices and events are numbered from `offset`."""
    random = np.random.default_rng(seed)
    people = max(50, events // EVENTS_PER_PERSON)
    sessions = max(20, events // EVENTS_PER_SESSION)
    session = np.sort(random.integers(0, sessions, events))
    person_of_session = people_of_sessions(random, sessions, people)
    devices_of_person = random.integers(1, 4, people)
    first_device = np.concatenate([[0], np.cumsum(devices_of_person)[:-1]])
    person = person_of_session[session]
    device_of_session = (first_device[person_of_session]
                         + (random.random(sessions) * devices_of_person[person_of_session]))
    device = device_of_session.astype(np.int64)[session]
    devices = int(devices_of_person.sum())
    # Some sessions happen on somebody else's device: this is what joins two people.
    borrowed = random.random(sessions) < 0.002
    device[borrowed[session]] = random.integers(0, devices, int(borrowed[session].sum()))
    time = times_of(random, session, sessions)
    kind = random.choice(len(EVENTS), events, p=np.array(SHARES) / sum(SHARES))
    order = np.argsort(time, kind="stable")
    session, person, device, time, kind = (c[order] for c in (session, person, device, time, kind))
    row = np.arange(events)
    time = np.maximum.accumulate(time - row) + row
    login = np.where((kind == EVENTS.index("login")) | (kind == EVENTS.index("signup")), person, -1)
    customer = customers_of(device, login, devices, people)
    buys = kind == EVENTS.index("purchase")
    with_campaign = (np.isin(kind, [8, 9]) | (random.random(events) < 0.03))
    return dict(
        offset=offset, people=people, devices=devices, random=random, row=row, time=time, kind=kind,
        device=device, login=login,
        customer=customer, person=person, channel=random.integers(0, 5, session.max() + 1)[session],
        country=random.integers(0, 8, people)[person],
        amount=np.where(buys, np.round(random.lognormal(3.4, .9, events) * 100), 0).astype(np.int64),
        buys=buys, product=random.integers(0, PRODUCTS, events),
        campaign=np.where(with_campaign, random.integers(0, 200, events), -1))


def table_of(c, rows):
    def words(names, places):
        return pa.array(names).take(pa.array(places))

    def numbered(word, digits, count):
        return pa.array([f"{word}-{n:0{digits}x}" for n in range(c["offset"], c["offset"] + count)])

    campaigns = [f"campaign_{n:03d}" for n in range(200)]
    properties = [f'{{"step":{n % 17},"theme":"t{n % 5}"}}' for n in range(PRODUCTS)]
    euros = pa.array(c["amount"][rows], mask=~c["buys"][rows]).cast(pa.float64())
    device, login = c["device"][rows], c["login"][rows]
    return pa.table({
        "event_id": pa.array(c["row"][rows] + c["offset"]),
        "ts": pa.array(c["time"][rows]).cast(pa.timestamp("us", tz="UTC")),
        "event_name": words(EVENTS, c["kind"][rows]),
        "anonymous_id": numbered("device", 8, c["devices"]).take(pa.array(device)),
        "user_id": numbered("login", 7, c["people"]).take(pa.array(login, mask=login < 0)),
        "customer_id": pa.array(c["customer"][device] + c["offset"]),
        "channel": words(CHANNELS, c["channel"][rows]),
        "amount": pa.compute.divide(euros, 100.0),
        "product_id": pa.array(c["product"][rows]),
        "campaign_id": words(campaigns, pa.array(c["campaign"][rows], mask=c["campaign"][rows] < 0)),
        "country": words(COUNTRIES, c["country"][rows]),
        "properties": words(properties, c["product"][rows]),
    })


def write_parts(c, order, folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(order, files)):
        pq.write_table(table_of(c, rows), folder / f"part-{number:03d}.parquet", compression="zstd",
                       row_group_size=1 << 20)


def generate(events, folder, seed=7, files=8):
    folder = Path(folder)
    c = columns(events, seed)
    customer = c["customer"][c["device"]]
    write_parts(c, c["row"], folder / "events", files)
    write_parts(c, np.argsort(customer, kind="stable"), folder / "events_sorted", files)
    known = c["login"] >= 0
    pq.write_table(pa.table({
        "anonymous_id": pa.array([f"device-{n:08x}" for n in c["device"][known].tolist()]),
        "user_id": pa.array([f"login-{n:07x}" for n in c["login"][known].tolist()]),
    }), folder / "edges.parquet")
    devices = np.unique(c["device"])
    pq.write_table(pa.table({
        "anonymous_id": pa.array([f"device-{n:08x}" for n in devices.tolist()]),
        "customer_id": pa.array(c["customer"][devices]),
    }), folder / "idmap.parquet")
    customers = int(customer.max()) + 1
    segments = {"customer_id": pa.array(np.arange(customers))}
    for number, share in enumerate(SEGMENT_SHARES, 1):
        segments[f"s{number}"] = pa.array(c["random"].random(customers) < share)
    segments["seg1"] = pa.array(c["random"].random(customers) < .01)
    pq.write_table(pa.table(segments), folder / "segments.parquet")
    counts = np.bincount(customer, minlength=customers)
    one = int(np.argmin(np.abs(counts - 200)))
    device = int(c["device"][np.flatnonzero(customer == one)[0]])
    meta = dict(n_events=events, customers=customers, point_customer=one,
                point_anonymous_ids=[f"device-{device:08x}"], seed=seed)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def generate_part(events, folder, part, seed=7, files=8):
    """Events of other people than those of any other part: for a log that memory cannot hold."""
    c = columns(events, seed + part, part << 32)
    write_parts(c, c["row"], Path(folder) / "events", files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", type=lambda text: int(float(text)))
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--part", type=int, help="one of many parts of a log: only FOLDER/events")
    wanted = parser.parse_args()
    if wanted.part is None:
        generate(wanted.events, wanted.folder, wanted.seed, wanted.files)
    else:
        generate_part(wanted.events, wanted.folder, wanted.part, wanted.seed, wanted.files)
