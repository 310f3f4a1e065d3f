"""The engine against the oracle, row by row: baskets split inside calls, a night of 25 hours, late calls."""

import datetime
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis  # type: ignore[import-untyped]
import pytest

from billing.core.number import Plan, normalise
from billing.core.offer import Basket, Offer, OfferKind
from billing.core.rated import Call
from billing.core.tariff import CUSTOMER, Row, Tariff
from billing.service import expression
from billing.service.engine import Priced, Prices, calls_table, rate
from billing.service.runners import DuckDb, Spark
from tests.billing import oracle
from tests.billing.months import ZONE, Month, month

ROOT = Path(__file__).parents[3]


def seen(priced: Priced) -> dict[tuple[str, str], oracle.Price]:
    return {
        (row.key, row.level): oracle.Price(
            row.key, row.level, row.class_, row.billed_s, row.in_basket_s, row.price_micro
        )
        for row in priced.rated
    }


def agrees(made: Month, priced: Priced) -> None:
    wanted = oracle.rate(made.calls, made.intake.customer, made.prices.tariffs)
    assert seen(priced) == wanted
    assert {call.key for call in made.calls} == {key for key, _ in wanted} | set(priced.without)


@pytest.mark.parametrize("seed", range(6))
def test_duckdb_agrees_with_the_oracle(seed: int) -> None:
    made = month(seed, 700)
    priced = rate(made.calls, made.prices, DuckDb())
    agrees(made, priced)
    for call in made.calls:
        assert call.day == oracle.local_day(call.answer_ms, ZONE)


def test_the_months_have_what_they_promise() -> None:
    """Baskets that end inside a call, late calls, suspense, calls in the hour that comes twice."""
    made = month(1, 700)
    calls = {call.key: call for call in made.calls}
    found = oracle.rate(calls.values(), made.intake.customer, made.prices.tariffs).values()
    assert sum(0 < each.in_basket_s < each.billed_s for each in found if each.level == "customer") > 3
    assert sum(call.late > 0 for call in calls.values()) > 50
    assert any(
        made.intake.customer.offer(call.offer).kind is OfferKind.FLAT_BUSINESS for call in calls.values()
    )
    assert len(found) < 2 * len(calls)
    assert sum(1_792_886_400_000 <= call.answer_ms < 1_792_893_600_000 for call in calls.values()) > 50


def test_any_order_and_any_duplicates() -> None:
    """B.C16, B.E12: the same rows, whatever the order of arrival."""
    made = month(3, 300)
    first = rate(made.calls, made.prices, DuckDb())
    shuffled = list(made.records) * 2
    random.Random(7).shuffle(shuffled)
    again = Month(made.intake, made.prices, tuple(shuffled))
    assert again.calls == made.calls
    calls = list(made.calls)
    random.Random(8).shuffle(calls)
    assert seen(rate(calls, made.prices, DuckDb())) == seen(first)


def test_nothing_of_a_join_is_left_over() -> None:
    """Trap 4 of the design: a clash of names shows as `_right`."""
    made = month(0, 10)
    types = {name: str(type_) for name, type_ in made.prices.expression.schema().items()}
    assert types == expression.result_schema(2)
    assert "_right" not in " ".join(made.prices.expression.columns)


def test_the_answer_has_the_declared_types() -> None:
    """Trap 7 of the design: a sum of DuckDB has 128 bits, and arrives as a decimal."""
    made = month(0, 50)
    tables = {"calls": calls_table(made.calls), **made.prices.tables()}
    found = DuckDb().run(made.prices.expression, tables)
    assert {field.name: str(field.type) for field in found.schema} == expression.result_schema(2)


def test_calls_look_up_openings_and_are_not_hashed_themselves() -> None:
    """Decision 0050: left alone, DuckDB takes openings for many, and keeps all calls of a month in memory."""
    made = month(0, 500)
    tables = {"calls": calls_table(made.calls), **made.prices.tables()}
    with DuckDb()._connected(tables) as connection:
        ((_, plan),) = connection.sql(
            "EXPLAIN " + str(ibis.to_sql(made.prices.expression, "duckdb"))
        ).fetchall()
    joins = re.findall(r"Join Type: *([A-Z]+)", plan)
    assert sorted(joins) == ["ANTI", "INNER", *["LEFT"] * 5, "SEMI"], (
        "no RIGHT: it looks calls up in a table of calls"
    )


def test_division_is_exact_beyond_doubles() -> None:
    """Trap 2 of the design: `//` would go through a double."""
    table = ibis.table({"n": "!int64"}, name="numbers")
    wanted = table.select(a=expression.divide(table.n, ibis.literal(3, type="int64")))
    numbers = expression_table([9007199254740993, 123456789012345678])
    found = DuckDb().run(wanted, {"numbers": numbers})
    assert found.column("a").to_pylist() == [3002399751580331, 41152263004115226]


def expression_table(numbers: list[int]) -> Any:
    from billing.service.engine import table

    return table({"n": "!int64"}, [(number,) for number in numbers])


def test_what_one_level_does_not_price_takes_no_minutes() -> None:
    """It waits whole (decision 0043), and a later call has the basket for itself."""
    calls = [called("1", "+33612345678", 0, 60), called("2", "+33145678901", 1, 60)]
    offer = Offer("flat", OfferKind.FLAT_ON_CONSUMPTION, baskets=(Basket("b", ("FR",), 1),))
    both, fixed = Row("+336", "FR", per_minute=10**6), Row("+331", "FR", per_minute=10**6)
    prices = Prices((Tariff(CUSTOMER, (both, fixed)), Tariff("resale", (fixed,))), {"flat": offer})
    priced = rate(calls, prices, DuckDb())
    assert priced.without == {"1": "resale"}
    assert [(row.key, row.in_basket_s) for row in priced.rated] == [("2", 60), ("2", 0)]


@pytest.mark.parametrize(("cap", "micro"), [(1_499, 1), (1_500, 2), (2_499, 2), (2_500, 3)])
def test_a_cap_is_rounded_half_up_like_any_price(cap: int, micro: int) -> None:
    row = Row("+33", "FR", per_minute=10**9, max_price=cap)
    priced = rate([called("1", "+33145678901", 0, 60)], Prices((Tariff(CUSTOMER, (row,)),), {}), DuckDb())
    assert [each.price_micro for each in priced.rated] == [micro]


def called(key: str, number: str, after_ms: int, seconds: int) -> Call:
    """A call of one line whose offer is `flat`."""
    day = datetime.date(2026, 10, 5)
    dialled = normalise(number, Plan())
    assert dialled is not None
    return Call(
        key, "201", "201", "", "flat", "voice", dialled, 1_791_180_000_000 + after_ms, day, 202610, seconds
    )


def test_no_calls_and_no_tariff() -> None:
    made = month(0, 20)
    assert rate([], made.prices, DuckDb()) == Priced((), {})
    empty = Prices((type(made.prices.tariffs[0])("customer", ()),), {})
    priced = rate(made.calls, empty, DuckDb())
    assert set(priced.without) == {call.key for call in made.calls if call.seconds}


@pytest.fixture
def spark() -> Iterator[Any]:
    if shutil.which("java") is None:
        pytest.skip("NOT RUN: the same expression on Spark (there is no Java)")
    pyspark_sql = pytest.importorskip(
        "pyspark.sql", reason="NOT RUN: the same expression on Spark (no PySpark)"
    )
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = pyspark_sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for name, value in {
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.mark.timeout(600)  # a JVM starts and plans: half a minute where nothing else runs
@pytest.mark.filterwarnings("ignore")  # PySpark and pandas warn of each other
def test_spark_agrees(spark: Any) -> None:
    """The same expression object, on Spark."""
    made = month(1, 80, plain=True)
    agrees(made, rate(made.calls, made.prices, Spark(spark)))


def test_a_long_run_draws_nothing_on_stdout() -> None:
    """DuckDB takes `python -c` for a person, and shows a bar in the middle of a long answer."""
    text = (
        "from billing.service.runners import DuckDb\n"
        "with DuckDb()._connected({}) as connection:\n"
        "    print(connection.sql(\"SELECT current_setting('enable_progress_bar')\").fetchall())"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[(False,)]\n"
