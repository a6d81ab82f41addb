"""Writes events of a small shop as NDJSON: ninety days, some people, the same each time."""

import datetime
import json
import random

chance = random.Random(7)
begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
steps = [("visit", 1.0), ("product_view", 0.7), ("add_to_cart", 0.35), ("purchase", 0.5)]
for day in range(90):
    for number in range(40 + day // 3 + (15 if day % 7 > 4 else 0)):
        person = chance.randrange(400)
        time = begin + datetime.timedelta(days=day, seconds=chance.randrange(80_000))
        for event, share in steps:
            if chance.random() > share:
                break
            time += datetime.timedelta(seconds=chance.randrange(10, 300))
            row = {
                "event_id": f"{day}-{number}-{event}",
                "ts": time.isoformat(),
                "event": event,
                "user_id": f"u{person}",
                "channel": chance.choice(["web", "app", "store"]),
                "properties": {"country": chance.choice(["SE", "DE", "FR"])},
            }
            if event == "purchase":
                row["amount"] = round(chance.uniform(5, 200), 2)
                row["currency"] = "EUR"
            print(json.dumps(row))
