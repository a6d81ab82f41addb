"""Makes a database, a dataset, charts and a dashboard in a running Superset, asks for the charts'
data, and takes a picture of the dashboard in headless Chromium.

Usage: dashboard.py SUPERSET_URL SQLALCHEMY_URI PICTURE
"""

import json
import shutil
import sys
import time

import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

base, uri, picture = sys.argv[1:4]
session = requests.Session()


def check(holds, what):
    if not holds:
        raise SystemExit(f"failed: {what}")
    print("ok", what, flush=True)


def call(method, path, **arguments):
    answer = session.request(method, f"{base}/api/v1/{path}", timeout=120, **arguments)
    if not answer.ok:
        raise SystemExit(f"failed: {method} {path}: {answer.status_code} {answer.text[:2000]}")
    return answer.json()


def log_in():
    login = {"username": "admin", "password": "admin", "provider": "db", "refresh": True}
    token = call("POST", "security/login", json=login)["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"


def find_tables():
    call("POST", "database/test_connection/", json={"sqlalchemy_uri": uri})
    check(True, "the connection is tested")
    database = call("POST", "database/", json={
        "database_name": "habitue", "sqlalchemy_uri": uri, "expose_in_sqllab": True,
    })["id"]
    schemas = call("GET", f"database/{database}/schemas/")["result"]
    check({"main", "system"} <= set(schemas), f"schemas {schemas}")
    tables = call("GET", f"database/{database}/tables/?q=(schema_name:main)")["result"]
    names = {table["value"] for table in tables}
    check({"events", "customers"} <= names, f"tables {sorted(names)}")
    about = call("GET", f"database/{database}/table_metadata/?name=events&schema=main")
    types = {column["name"]: column["type"] for column in about["columns"]}
    check(types["customer_id"] == "BIGINT" and "TIMESTAMP" in types["ts"], f"types {types}")
    return database


def ask_in_sql_lab(database):
    answer = call("POST", "sqllab/execute/", json={
        "database_id": database, "schema": "main", "runAsync": False, "queryLimit": 100,
        "sql": "SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY n DESC",
    })
    check([row["event"] for row in answer["data"]][0] == "visit", f"SQL Lab {answer['data']}")
    answer = call("POST", "sqllab/execute/", json={
        "database_id": database, "schema": "main", "runAsync": False,
        "sql": "SELECT step, customers FROM funnel(events, event = 'visit', event = 'purchase', "
               "within => INTERVAL '7' DAY) ORDER BY step",
    })
    check(len(answer["data"]) == 2, f"a funnel in SQL Lab {answer['data']}")


def make_dataset(database):
    dataset = call("POST", "dataset/", json={
        "database": database, "schema": "main", "table_name": "events",
    })["id"]
    columns = call("GET", f"dataset/{dataset}")["result"]["columns"]
    times = {column["column_name"] for column in columns if column["is_dttm"]}
    check(len(columns) > 10 and "ts" in times, f"dataset with {len(columns)} columns, times {times}")
    return dataset


COUNT = {"expressionType": "SQL", "sqlExpression": "COUNT(*)", "label": "events"}
REVENUE = {"expressionType": "SQL", "sqlExpression": "SUM(amount)", "label": "revenue"}
AXIS = {"columnType": "BASE_AXIS", "sqlExpression": "ts", "label": "ts", "expressionType": "SQL",
        "timeGrain": "P1D"}


def chart_of(dataset, name, kind, query, form):
    source = {"id": dataset, "type": "table"}
    form = {"datasource": f"{dataset}__table", "viz_type": kind, **form}
    context = {"datasource": source, "force": True, "queries": [query], "form_data": form,
               "result_format": "json", "result_type": "full"}
    answer = call("POST", "chart/data", json=context)["result"][0]
    check(answer["status"] == "success" and answer["rowcount"] > 0,
          f"{name}: {answer['rowcount']} rows")
    made = call("POST", "chart/", json={
        "slice_name": name, "viz_type": kind, "datasource_id": dataset, "datasource_type": "table",
        "params": json.dumps(form), "query_context": json.dumps(context),
    })
    return made["id"]


def make_charts(dataset):
    daily = {"columns": [AXIS, "event"], "metrics": [COUNT], "row_limit": 10000,
             "orderby": [[COUNT, False]], "time_range": "No filter",
             "filters": [{"col": "ts", "op": "TEMPORAL_RANGE", "val": "2026-01-01 : 2026-06-01"}],
             "extras": {"time_grain_sqla": "P1D"},
             "post_processing": [
                 {"operation": "pivot", "options": {"index": ["ts"], "columns": ["event"],
                  "aggregates": {"events": {"operator": "mean"}}, "drop_missing_columns": False}},
                 {"operation": "flatten"}]}
    lines = chart_of(dataset, "Events by day", "echarts_timeseries_line", daily, {
        "x_axis": "ts", "time_grain_sqla": "P1D", "metrics": [COUNT], "groupby": ["event"],
        "row_limit": 10000, "adhoc_filters": [], "x_axis_sort_asc": True,
    })
    by_channel = {"columns": ["channel"], "metrics": [COUNT, REVENUE], "row_limit": 100,
                  "orderby": [[REVENUE, False]],
                  "filters": [{"col": "event", "op": "IN", "val": ["visit", "purchase"]}]}
    table = chart_of(dataset, "Revenue by channel", "table", by_channel, {
        "query_mode": "aggregate", "groupby": ["channel"], "metrics": [COUNT, REVENUE],
        "row_limit": 100, "adhoc_filters": [],
    })
    return [lines, table]


def make_dashboard(charts):
    rows = {"ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
            "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": ["ROW-1"],
                        "parents": ["ROOT_ID"]},
            "ROW-1": {"type": "ROW", "id": "ROW-1", "children": [], "parents": ["ROOT_ID", "GRID_ID"],
                      "meta": {"background": "BACKGROUND_TRANSPARENT"}}}
    for number, chart in enumerate(charts):
        name = f"CHART-{number}"
        rows["ROW-1"]["children"].append(name)
        rows[name] = {"type": "CHART", "id": name, "children": [],
                      "parents": ["ROOT_ID", "GRID_ID", "ROW-1"],
                      "meta": {"chartId": chart, "width": 8 if number == 0 else 4, "height": 60}}
    rows["DASHBOARD_VERSION_KEY"] = "v2"
    dashboard = call("POST", "dashboard/", json={
        "dashboard_title": "Shop", "position_json": json.dumps(rows), "published": True,
    })["id"]
    for chart in charts:
        call("PUT", f"chart/{chart}", json={"dashboards": [dashboard]})
    shown = call("GET", f"dashboard/{dashboard}/charts")["result"]
    check(len(shown) == len(charts), f"a dashboard with {len(shown)} charts")
    return dashboard


def take_picture(dashboard):
    options = webdriver.ChromeOptions()
    for option in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                   "--window-size=1600,1000"]:
        options.add_argument(option)
    # Chromium and its driver are of one version; Selenium must not look for others.
    options.binary_location = shutil.which("chromium")
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(f"{base}/login/")
        wait = WebDriverWait(browser, 120)
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "input[type=password]"))
        browser.find_element(By.CSS_SELECTOR, "input[name=username], #username").send_keys("admin")
        browser.find_element(By.CSS_SELECTOR, "input[type=password]").send_keys("admin")
        browser.find_element(By.CSS_SELECTOR, "button[type=submit], input[type=submit]").click()
        wait.until(lambda b: "/login" not in b.current_url)
        browser.get(f"{base}/superset/dashboard/{dashboard}/?standalone=2")
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "canvas"))
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "table tbody tr"))
        time.sleep(5)  # until the lines are drawn
        browser.save_screenshot(picture)
        words = browser.find_element(By.TAG_NAME, "body").text
        for wanted in ["Events by day", "Revenue by channel", "web"]:
            check(wanted in words, f"the dashboard shows {wanted!r}")
        check("error" not in words.lower(), f"the dashboard shows no error: {words[:500]!r}")
    finally:
        browser.quit()
    print("picture:", picture)


log_in()
database = find_tables()
ask_in_sql_lab(database)
charts = make_charts(make_dataset(database))
take_picture(make_dashboard(charts))
