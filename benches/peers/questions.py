"""The questions of an analyst, in the best words that each engine has for them.

Every answer is independent of how an engine numbers its customers. `None` is a question that an
engine has no words for. {events}, {segments}, {one} and {edges} are filled in by the peer.
"""
T0 = 1_735_689_600_000_000
DAY = 86_400_000_000
WEEK = 7 * DAY
AS_OF = T0 + 175 * DAY
HALF_HOUR = 1_800_000_000
STEPS = ["product_view", "add_to_cart", "checkout_start", "purchase"]
KINDS = ["page_view", "product_view", "search", "add_to_cart", "checkout_start", "purchase",
         "login", "signup", "email_open", "email_click", "refund", "support_ticket"]
IN_STEPS = ", ".join(f"'{step}'" for step in STEPS)
LAST = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"


def per_kind(count):
    return ", ".join(f"{count(kind)} AS k{place}" for place, kind in enumerate(KINDS))


def dot(left, right):
    return "+".join(f"{left}k{place}*{right}{place}" for place in range(len(KINDS)))


def algebra(both, either, without, letter="b"):
    """Six counts over eight sets, b1 to b8, with the engine's words for two sets."""
    def fold(word, sets):
        return sets[0] if len(sets) == 1 else word(fold(word, sets[:-1]), sets[-1])
    b = [f"{letter}{number}" for number in range(1, 9)]
    return [fold(both, b[0:3]), fold(either, b[3:6]), without(b[0], b[7]),
            without(both(either(b[0], b[1]), either(b[2], b[3])), both(b[4], b[5])),
            fold(both, b), fold(either, b)]


# DuckDB -----------------------------------------------------------------------------------------
US = "epoch_us(ts)"
BY = "PARTITION BY customer_id ORDER BY us ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def duckdb_funnel():
    """Each step carries the latest start of a chain that reaches it."""
    text = (f"WITH l0 AS (SELECT customer_id, {US} us, event_name e, "
            f"CASE WHEN event_name = '{STEPS[0]}' THEN {US} END c0 FROM {{events}} "
            f"WHERE event_name IN ({IN_STEPS}))")
    for level in range(1, len(STEPS)):
        reach = f"max(c{level - 1}) OVER ({BY}) s{level}"
        step = (f"CASE WHEN e = '{STEPS[level]}' AND us - s{level} <= {WEEK} "
                f"THEN s{level} END c{level}")
        text += (f", w{level} AS (SELECT *, {reach} FROM l{level - 1}), "
                 f"l{level} AS (SELECT *, {step} FROM w{level})")
    last = len(STEPS) - 1
    depth = f"WHEN c{last} IS NOT NULL THEN {len(STEPS)}" + "".join(
        f" WHEN s{level} IS NOT NULL THEN {level}" for level in range(last, 0, -1))
    return (f"{text}, d AS (SELECT max(CASE {depth} ELSE 0 END) depth FROM l{last} "
            f"GROUP BY customer_id) SELECT k, count(*) FROM d, range(1, {len(STEPS) + 1}) v(k) "
            "WHERE depth >= k GROUP BY k ORDER BY k")


DUCKDB = {
    "daily_active": f"SELECT ({US} - {T0}) // {DAY} d, channel, count(DISTINCT customer_id) "
                    "FROM {events} GROUP BY ALL ORDER BY ALL",
    "funnel": duckdb_funnel(),
    "cohort_retention":
        f"WITH c AS (SELECT customer_id, bit_or(1::BIGINT << (({US} - {T0}) // {WEEK})::INT) mask, "
        f"min(({US} - {T0}) // {WEEK}) FILTER (WHERE event_name = 'purchase') w FROM {{events}} "
        "GROUP BY 1 HAVING w IS NOT NULL) SELECT w, k, count(*) FROM c, range(26) r(k) "
        "WHERE w + k < 26 AND (mask >> (w + k)::INT) & 1 = 1 GROUP BY ALL ORDER BY ALL",
    "rfm_quintiles":
        f"WITH c AS (SELECT max({US}) r, count(*) f, round(sum(amount) * 100)::BIGINT m "
        f"FROM {{events}} WHERE event_name = 'purchase' AND {US} < {AS_OF} GROUP BY customer_id), "
        "s AS (SELECT ntile(5) OVER (ORDER BY r) r, ntile(5) OVER (ORDER BY f, r) f, "
        "ntile(5) OVER (ORDER BY m, r) m FROM c) SELECT r, f, m, count(*) FROM s "
        "GROUP BY ALL ORDER BY ALL",
    "sessions":
        f"SELECT count(*), sum(s)::BIGINT FROM (SELECT CASE WHEN us - lag(us) OVER "
        f"(PARTITION BY customer_id ORDER BY us) <= {HALF_HOUR} THEN 0 ELSE 1 END s "
        f"FROM (SELECT customer_id, {US} us FROM {{events}}))",
    "segment_build":
        "SELECT count(*), sum(n)::BIGINT FROM (SELECT count(*) n FROM {events} GROUP BY customer_id "
        f"HAVING count(*) FILTER (WHERE event_name = 'purchase' AND {US} >= {AS_OF - 90 * DAY}) >= 2 "
        f"AND count(*) FILTER (WHERE event_name = 'email_open' AND {US} >= {AS_OF - 30 * DAY}) = 0 "
        "AND count(*) FILTER (WHERE country IN ('US', 'DE', 'GB')) > 0)",
    "segment_algebra":
        "WITH b AS MATERIALIZED (SELECT " + ", ".join(
            f"(SELECT b FROM bits WHERE s = {n}) b{n}" for n in range(1, 9)) + ") SELECT "
        + ", ".join(f"bit_count({text})" for text in algebra(
            lambda a, b: f"({a} & {b})", lambda a, b: f"({a} | {b})",
            lambda a, b: f"({a} & ~{b})")) + " FROM b",
    "segment_revenue":
        f"SELECT ({US} - {T0}) // {DAY} d, round(sum(amount), 2) FROM {{events}} "
        "WHERE event_name = 'purchase' AND customer_id IN "
        "(SELECT customer_id FROM {segments} WHERE seg1) GROUP BY 1 ORDER BY 1",
    "stitch": "python: label propagation in SQL until nothing changes",
    "one_customer": "SELECT * FROM {events} WHERE customer_id = {one} ORDER BY ts DESC",
    "paths":
        "SELECT a, b, c, count(*) n FROM (SELECT event_name c, lag(event_name) OVER w b, "
        "lag(event_name, 2) OVER w a FROM {events} WINDOW w AS (PARTITION BY customer_id "
        "ORDER BY ts)) WHERE a IS NOT NULL GROUP BY ALL ORDER BY n DESC, a, b, c LIMIT 20",
    "attribution":
        f"WITH p AS (SELECT customer_id, {US} us, amount FROM {{events}} "
        f"WHERE event_name = 'purchase'), t AS (SELECT customer_id, {US} us, campaign_id "
        "FROM {events} WHERE campaign_id IS NOT NULL) SELECT CASE WHEN p.us - t.us <= "
        f"{WEEK} THEN campaign_id END c, round(sum(p.amount), 2), count(*) FROM p "
        "ASOF LEFT JOIN t ON p.customer_id = t.customer_id AND p.us >= t.us GROUP BY 1 ORDER BY 1",
    "lookalike":
        "WITH p AS MATERIALIZED (SELECT customer_id, "
        + per_kind(lambda kind: f"count(*) FILTER (WHERE event_name = '{kind}')::DOUBLE")
        + " FROM {events} GROUP BY 1 HAVING count(*) >= 20), z AS (SELECT "
        + ", ".join(f"avg(k{place}) z{place}" for place in range(len(KINDS)))
        + " FROM p WHERE customer_id IN (SELECT customer_id FROM {segments} WHERE seg1)), "
        f"s AS (SELECT ({dot('', 'z')}) / sqrt(({dot('', 'k')}) * ("
        + "+".join(f"z{place}*z{place}" for place in range(len(KINDS)))
        + ")) score FROM p, z WHERE customer_id NOT IN (SELECT customer_id FROM {segments} "
        "WHERE seg1) ORDER BY score DESC LIMIT 1000) "
        "SELECT count(*), round(avg(score), 6), round(min(score), 6) FROM s",
}

# Over files there are no ready bit strings, but columns of truth values.
DUCKDB_OVER_PARQUET = DUCKDB | {
    "segment_algebra": "SELECT " + ", ".join(f"count(*) FILTER ({text})" for text in algebra(
        lambda a, b: f"({a} AND {b})", lambda a, b: f"({a} OR {b})",
        lambda a, b: f"({a} AND NOT {b})", letter="s")) + " FROM {segments}",
}

# ClickHouse -------------------------------------------------------------------------------------
CUS = "toUnixTimestamp64Micro(ts)"


CLICKHOUSE = {
    "daily_active": f"SELECT intDiv({CUS} - {T0}, {DAY}) d, channel, uniqExact(customer_id) "
                    "FROM {events} GROUP BY d, channel ORDER BY d, channel",
    "funnel":
        f"SELECT k, count() FROM (SELECT windowFunnel({WEEK})(toUInt64({CUS}), "
        + ", ".join(f"event_name = '{step}'" for step in STEPS)
        + f") l FROM {{events}} WHERE event_name IN ({IN_STEPS}) GROUP BY customer_id) "
        "ARRAY JOIN range(1, l + 1) AS k GROUP BY k ORDER BY k",
    "cohort_retention":
        f"WITH c AS (SELECT groupBitOr(bitShiftLeft(toUInt64(1), intDiv({CUS} - {T0}, {WEEK}))) m, "
        f"minIf(intDiv({CUS} - {T0}, {WEEK}), event_name = 'purchase') w FROM {{events}} "
        "GROUP BY customer_id HAVING countIf(event_name = 'purchase') > 0) "
        "SELECT w, k, count() FROM c ARRAY JOIN range(26) AS k "
        "WHERE w + k < 26 AND bitTest(m, w + k) GROUP BY w, k ORDER BY w, k",
    "rfm_quintiles":
        f"WITH c AS (SELECT max({CUS}) r, count() f, toInt64(round(sum(amount) * 100)) m "
        f"FROM {{events}} WHERE event_name = 'purchase' AND {CUS} < {AS_OF} GROUP BY customer_id), "
        f"s AS (SELECT ntile(5) OVER (ORDER BY r {LAST}) rr, ntile(5) OVER (ORDER BY f, r {LAST}) "
        f"ff, ntile(5) OVER (ORDER BY m, r {LAST}) mm FROM c) "
        "SELECT rr, ff, mm, count() FROM s GROUP BY rr, ff, mm ORDER BY rr, ff, mm",
    "sessions":
        f"SELECT sum(length(a)), sum(1 + arrayCount(x -> x > {HALF_HOUR}, "
        f"arrayPopFront(arrayDifference(a)))) FROM (SELECT arraySort(groupArray({CUS})) a "
        "FROM {events} GROUP BY customer_id)",
    "segment_build":
        "SELECT count(), sum(n) FROM (SELECT count() n FROM {events} GROUP BY customer_id "
        f"HAVING countIf(event_name = 'purchase' AND {CUS} >= {AS_OF - 90 * DAY}) >= 2 "
        f"AND countIf(event_name = 'email_open' AND {CUS} >= {AS_OF - 30 * DAY}) = 0 "
        "AND countIf(country IN ('US', 'DE', 'GB')) > 0)",
    "segment_algebra":
        "WITH " + ", ".join(f"(SELECT b FROM db.bits WHERE s = {n}) AS b{n}" for n in range(1, 9))
        + " SELECT " + ", ".join(f"bitmapCardinality({text})" for text in algebra(
            lambda a, b: f"bitmapAnd({a}, {b})", lambda a, b: f"bitmapOr({a}, {b})",
            lambda a, b: f"bitmapAndnot({a}, {b})")),
    "segment_revenue":
        f"SELECT intDiv({CUS} - {T0}, {DAY}) d, round(sum(amount), 2) FROM {{events}} "
        "WHERE event_name = 'purchase' AND customer_id IN "
        "(SELECT customer_id FROM {segments} WHERE seg1) GROUP BY d ORDER BY d",
    "stitch": None,
    "one_customer": "SELECT * FROM {events} WHERE customer_id = {one} ORDER BY ts DESC",
    "paths":
        "SELECT t.1, t.2, t.3, count() n FROM (SELECT arrayMap(x -> x.2, "
        "arraySort(groupArray((ts, event_name)))) a FROM {events} GROUP BY customer_id "
        "HAVING length(a) >= 3) ARRAY JOIN arrayZip(arraySlice(a, 1, length(a) - 2), "
        "arraySlice(a, 2, length(a) - 2), arraySlice(a, 3)) AS t GROUP BY t "
        "ORDER BY n DESC, t.1, t.2, t.3 LIMIT 20",
    "attribution":
        f"SELECT if(t.us > 0 AND p.us - t.us <= {WEEK}, t.campaign_id, NULL) c, "
        f"round(sum(p.amount), 2), count() FROM (SELECT customer_id, {CUS} us, amount "
        f"FROM {{events}} WHERE event_name = 'purchase') p ASOF LEFT JOIN (SELECT customer_id, "
        f"{CUS} us, campaign_id FROM {{events}} WHERE campaign_id != '') t "
        "ON p.customer_id = t.customer_id AND p.us >= t.us GROUP BY c ORDER BY c NULLS LAST",
    "lookalike":
        "WITH p AS (SELECT customer_id, ["
        + ", ".join(f"toFloat64(countIf(event_name = '{kind}'))" for kind in KINDS)
        + "] v FROM {events} GROUP BY customer_id HAVING count() >= 20), "
        "(SELECT avgForEach(v) FROM p WHERE customer_id IN "
        "(SELECT customer_id FROM {segments} WHERE seg1)) AS z "
        "SELECT count(), round(avg(score), 6), round(min(score), 6) FROM (SELECT 1 - "
        "cosineDistance(v, z) score FROM p WHERE customer_id NOT IN (SELECT customer_id "
        "FROM {segments} WHERE seg1) ORDER BY score DESC LIMIT 1000)",
}

# Habitué ----------------------------------------------------------------------------------------
HUS = "arrow_cast(ts, 'Int64')"

HABITUE = {
    "daily_active": f"SELECT ({HUS} - {T0}) / {DAY} AS d, channel, count(DISTINCT customer_id) "
                    "FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    "funnel":
        "WITH f AS (SELECT window_funnel(INTERVAL '7' DAY, ts, "
        + ", ".join(f"event = '{step}'" for step in STEPS)
        + ") AS level FROM events GROUP BY customer_id) SELECT s.value AS step, count(*) FROM f "
        f"JOIN generate_series(1, {len(STEPS)}) AS s ON f.level >= s.value GROUP BY 1 ORDER BY 1",
    "cohort_retention":
        f"WITH c AS (SELECT customer_id, min(({HUS} - {T0}) / {WEEK}) AS w FROM events "
        f"WHERE event = 'purchase' GROUP BY 1), a AS (SELECT DISTINCT customer_id, "
        f"({HUS} - {T0}) / {WEEK} AS w FROM events) SELECT c.w, a.w - c.w AS k, count(*) FROM c "
        "JOIN a ON a.customer_id = c.customer_id AND a.w >= c.w GROUP BY 1, 2 ORDER BY 1, 2",
    "rfm_quintiles":
        f"WITH c AS (SELECT max({HUS}) AS r, count(*) AS f, sum(amount) AS m FROM events "
        f"WHERE event = 'purchase' AND {HUS} < {AS_OF} GROUP BY customer_id), "
        "s AS (SELECT ntile(5) OVER (ORDER BY r) AS r, ntile(5) OVER (ORDER BY f, r) AS f, "
        "ntile(5) OVER (ORDER BY m, r) AS m FROM c) SELECT r, f, m, count(*) FROM s "
        "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "sessions":
        "SELECT sum(n), sum(s) FROM (SELECT count(*) AS n, max(s) AS s FROM (SELECT customer_id, "
        "sessionize(ts, INTERVAL '30' MINUTE) OVER (PARTITION BY customer_id ORDER BY ts) AS s "
        "FROM events) GROUP BY customer_id)",
    "segment_build":
        "SELECT count(*), sum(n) FROM (SELECT count(*) AS n FROM events GROUP BY customer_id "
        f"HAVING count(*) FILTER (WHERE event = 'purchase' AND {HUS} >= {AS_OF - 90 * DAY}) >= 2 "
        f"AND count(*) FILTER (WHERE event = 'email_open' AND {HUS} >= {AS_OF - 30 * DAY}) = 0 "
        "AND count(*) FILTER (WHERE properties->>'country' IN ('US', 'DE', 'GB')) > 0)"
        .replace("properties->>'country'", "(properties->>'country')"),
    "segment_algebra":
        "WITH b AS (SELECT " + ", ".join(
            f"(SELECT bitmap_agg(customer_id) FROM segment('s{n}')) AS b{n}" for n in range(1, 9))
        + ") SELECT " + ", ".join(f"bitmap_count({text})" for text in algebra(
            lambda a, b: f"bitmap_and({a}, {b})", lambda a, b: f"bitmap_or({a}, {b})",
            lambda a, b: f"bitmap_andnot({a}, {b})")) + " FROM b",
    "segment_revenue":
        f"SELECT ({HUS} - {T0}) / {DAY} AS d, sum(amount) FROM events "
        "WHERE event = 'purchase' AND in_segment(customer_id, 'seg1') GROUP BY 1 ORDER BY 1",
    "stitch": "SELECT count(*), max(n), sum(n * n) FROM "
              "(SELECT count(*) AS n FROM events GROUP BY customer_id)",
    "one_customer": "SELECT * FROM events WHERE customer_id = customer_of('anonymous_id', '{device}')"
                    " ORDER BY ts DESC",
    "paths": "SELECT step_1, step_2, step_3, times FROM event_paths(steps => 3) "
             "ORDER BY times DESC, step_1, step_2, step_3 LIMIT 20",
    "attribution":
        "SELECT touch, round(amount, 2), CAST(conversions AS BIGINT) "
        "FROM attribution(model => 'last', within => INTERVAL '7' DAY) ORDER BY touch",
    "lookalike":
        "SELECT count(*), round(avg(score), 6), round(min(score), 6) "
        "FROM lookalike(seed => 'seg1', size => 1000, min_events => 20)",
}

NAMES = list(HABITUE)
