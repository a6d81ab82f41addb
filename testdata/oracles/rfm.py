"""Recomputes `rfm` of the real data sets with pandas, independently of the engine.

    python testdata/oracles/rfm.py FOLDER [OURS.csv ORDERS|CDNOW]

Prints for each data set the customers per score r, f and m. With a second argument it also compares
each customer with a CSV that the engine wrote:

    SELECT * FROM rfm(...) ORDER BY customer_id

The definition: recency_days counts calendar days from the last purchase to as_of; monetary is the mean
per purchase; scores cut at the quantiles of type 7 (pandas' default, `linear`), score = 1 + cuts
strictly below; for recency the negated value is scored.
"""

import sys
from pathlib import Path

import pandas as pd

SHARES = [0.2, 0.4, 0.6, 0.8]


def orders(folder: Path) -> tuple[pd.DataFrame, str]:
    rows = pd.read_csv(folder / "orders_rfm/rfm_data_orders.csv", parse_dates=["order_date"])
    rows = rows.rename(columns={"order_date": "day", "revenue": "amount"})
    return rows[["customer_id", "day", "amount"]], "2006-12-31"


def cdnow(folder: Path) -> tuple[pd.DataFrame, str]:
    path = folder / "cdnow/CDNOW_master.txt"
    names = ["customer_id", "day", "discs", "amount"]
    rows = pd.read_csv(path, sep=r"\s+", skiprows=1, names=names)
    rows["day"] = pd.to_datetime(rows["day"].astype(str))
    return rows[["customer_id", "day", "amount"]], "1998-06-30"


def score(values: pd.Series) -> pd.Series:
    cuts = values.quantile(SHARES, interpolation="linear")
    return 1 + sum((values > cut).astype(int) for cut in cuts)


def rfm(rows: pd.DataFrame, as_of: str) -> pd.DataFrame:
    day = pd.Timestamp(as_of)
    rows = rows[rows["day"] <= day]
    # Cents are whole numbers: their sums are exact.
    rows = rows.assign(cents=(rows["amount"] * 100).round().astype("int64"))
    by = rows.groupby("customer_id")
    table = pd.DataFrame(
        {
            "recency_days": (day - by["day"].max()).dt.days,
            "frequency": by.size(),
            "monetary_total": by["cents"].sum() / 100,
        }
    )
    table["monetary"] = table["monetary_total"] / table["frequency"]
    years = ((day - by["day"].min()).dt.days / 365.25).clip(lower=1.0)
    table["monetary_year"] = table["monetary_total"] / years
    table["r"] = score(-table["recency_days"])
    table["f"] = score(table["frequency"])
    table["m"] = score(table["monetary"])
    return table


def compare(table: pd.DataFrame, path: str) -> None:
    ours = pd.read_csv(path).set_index("customer_id").loc[table.index]
    assert len(ours) == len(table), (len(ours), len(table))
    for column in ["recency_days", "frequency", "r", "f", "m"]:
        assert (ours[column] == table[column]).all(), column
    for column in ["monetary", "monetary_year", "monetary_total"]:
        assert ((ours[column] - table[column]).abs() < 1e-9 * (1 + table[column].abs())).all(), column
    print(f"{len(table)} customers agree in every column")


def main() -> None:
    folder = Path(sys.argv[1])
    for name, read in [("ORDERS", orders), ("CDNOW", cdnow)]:
        table = rfm(*read(folder))
        print(name, len(table), "customers")
        for column in "rfm":
            print(" ", column, " ".join(str(n) for n in table[column].value_counts().sort_index()))
        if len(sys.argv) > 3 and sys.argv[3] == name:
            compare(table, sys.argv[2])


if __name__ == "__main__":
    main()
