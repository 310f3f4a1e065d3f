"""`usage` as a person types it: peaks, advice with prices, CSV and charts; and what is wrong with prices."""

import json
import time
from pathlib import Path

import pytest

from licence_master.catalogue import read_catalogue
from licence_master.cli.prices import read
from licence_master.cli.using import sparkline
from runtime.config import ConfigErrors
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master

PRICES = """currency: CHF
prices:
  - {type: PBX-Port13, price: "45.00"}
  - {type: PBX-Port13%500, price: "40.5"}
  - {type: PBX-IPVA13, price: "10"}
"""


def event(n: int, name: str, what: str, at_ms: int) -> dict[str, object]:
    return {"n": n, "at_ms": at_ms, "object": name, "kind": "user", "class": "seat", "event": what}


async def test_peaks_of_sites_and_of_all_together(master: Master, tmp_path: Path) -> None:
    stock(master, "PBX-Port13,5")
    now = time.time_ns() // 1_000_000
    async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
        first = [event(n, f"20{n}", "held", now) for n in range(1, 10)]
        gone = [event(9 + n, f"20{n}", "released", now) for n in range(1, 7)]
        await lyon.sync({"seat": 9}, activity=[*first, *gone])
        await lyon.sync({"seat": 3})
        held = [event(n, f"30{n}", "held", now + 1) for n in range(1, 9)]
        await hq.sync({"seat": 8}, activity=[*held, event(9, "309", "refused", now + 1)])
    rows = {(row["pool"], row["pbx"]): row for row in master.ask("/usage")}
    assert {key: row["peak"] for key, row in rows.items()} == {
        ("port", ""): 11,
        ("port", "hq"): 8,
        ("port", "lyon"): 9,
    }
    assert (rows["port", ""]["refused"], rows["port", "lyon"]["refused"]) == (1, 0)
    assert (rows["port", ""]["usable"], rows["port", ""]["needed"], rows["port", ""]["over"]) == (15, 13, 2)
    assert rows["port", ""]["trend"] == "less than three weeks of data (0 days)"
    assert [row["peak"] for row in master.ask("/usage/hours?pbx=lyon")] == [9]
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    said = master.command("usage", "--prices", str(prices), "--margin", "100", "--chart")
    assert (
        "port: 22 are right (peak 11 and a margin, and 1 refusals: more was wanted); 7 are missing." in said
    )
    assert "Cheapest: 7 PBX-Port13 at 45.00 = 315.00 CHF." in said
    assert "█" * 37 in said
    told = json.loads(master.command("usage", "--prices", str(prices), "--margin", "100", "--json"))
    buy = next(row["buy"] for row in told if row["pbx"] == "")
    assert buy == [{"type": "PBX-Port13", "count": 7, "price": "45.00"}]
    lines = master.command("usage", "--csv").splitlines()
    assert lines[0] == "hour,pool,site,peak,refused"
    assert {line.partition(",")[2] for line in lines[1:]} == {"port,all,11,1", "port,hq,8,1", "port,lyon,9,0"}
    prices.write_text(PRICES.replace('"40.5"', '"40.555"'))
    wrong = master.run("usage", "--prices", str(prices))
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert f"{prices}:4:" in wrong.stderr


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.yaml", "prices:\n  - {type: PBX-Port13, price: 45}\n", ":2:31: prices[0].price: expected"),
        (
            "p.yaml",
            PRICES.replace("%500", ""),
            ":4:12: prices[1].type: this type stands here twice",
        ),
        ("p.yaml", PRICES.replace("PBX-IPVA13", "13"), ":5:12: prices[2].type"),
        ("p.yaml", PRICES.replace("CHF", "francs"), ":1:11: currency"),
        ("p.csv", "type;price\nPBX-Port13;45\nPBX-Port13%500;4o\n", ":3:16: price: expected an amount"),
        ("p.csv", "type,price\n13,1\n", ":2:1: type"),
        ("p.csv", "type,price\nPBX-Port13,1\nPort13,2\n", ":3:1: type: this type stands here twice"),
        ("p.csv", "type,price\nPBX-Port13%20,1\n", ":2:1: type"),
        ("p.csv", "type,cost\n", ":1:1: the columns are type,price"),
        ("p.csv", "type,price\n", ":1:1: no prices below the head"),
        ("p.csv", "", ":1:1: the columns are"),
    ],
)
def test_a_price_file_is_read_strictly(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigErrors) as caught:
        read(path)
    assert told in str(caught.value)
    with pytest.raises(ConfigErrors, match="cannot be read"):
        read(tmp_path / "nowhere.yaml")


def test_bars_are_as_high_as_they_should_be() -> None:
    assert sparkline([0, 1, 50, 100]) == "▁▂▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""


def test_prices_of_a_pool_by_tier(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(
        "type;price\nPBX-Port12;1\nPBX-Port13;45\nPBX-Port14;44.5\nPort13%500;40\nPBX-Port13$20;9\n"
    )
    found = read(path).of_pool(read_catalogue(), "port", 13)
    assert found == {0: ("PBX-Port14", 4_450), 500: ("Port13%500", 4_000)}, "one that serves this software"
