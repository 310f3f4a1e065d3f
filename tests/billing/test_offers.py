"""Section E of the examples: line offers and price levels (seed 002)."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing.core import offer as offers
from billing.core.offer import Actor, Offer, OfferKind
from billing.core.refusal import Code, Refused
from tests.billing.cases import Json, call, nets, prices, refused, row, run

MOBILE = [{"classes": ["FR_MOBILE"], "minutes": 100}]


def case(offer: Json | None, *calls: Json, **further: Any) -> dict[str, Any]:
    """One line with an offer; list 0.10, resale 0.06."""
    return {
        "accounts": [
            {"id": "201", "line": {"numbers": ["+33142000001"], **({"offer": "o"} if offer else {})}}
        ],
        "offers": {"o": offer} if offer else {},
        "tariffs": {"list": [row(per_minute="0.10")], "resale": [row(per_minute="0.06")]},
        "calls": calls,
        **further,
    }


def both(folder: Path, written: dict[str, Any], key: str = "c") -> tuple[str, str]:
    found = run(folder, **written)
    return prices(found)[key], prices(found, "resale")[key]


def earlier(seconds: int) -> Json:
    return call("before", seconds, answer="2026-10-02T10:00:00Z")


def test_e1_pay_per_use(tmp_path: Path) -> None:
    """B.E1: and the credit goes down by the list price."""
    written = case(None, call("c", 180))
    written["tariffs"] = {"list": [row(per_minute="0.02")], "resale": [row(per_minute="0.011")]}
    written["accounts"][0]["credit"] = "10.00"
    found = run(tmp_path, **written)
    assert (prices(found)["c"], prices(found, "resale")["c"]) == ("0.060000", "0.033000")
    assert found["credits"] == [{"account": "201", "left": "9.94", "alerts": []}]


def test_e2_the_partner_changes_the_list(tmp_path: Path) -> None:
    """B.E2."""
    written = case(
        None, call("c", 180, answer="2026-10-31T10:00:00Z"), call("d", 180, answer="2026-11-01T10:00:00Z")
    )
    rows = [row(per_minute="0.02", to="2026-10-31"), row(per_minute="0.03", **{"from": "2026-11-01"})]
    written["tariffs"] = {"list": rows, "resale": [row(per_minute="0.011")]}
    assert both(tmp_path, written) == ("0.060000", "0.033000")
    assert both(tmp_path, {**written, "period": "2026-11"}, "d") == ("0.090000", "0.033000")


@pytest.mark.parametrize(
    ("offer", "used", "seconds", "customer", "resale"),
    [
        pytest.param(
            {"kind": "flat_business", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 1000}]},
            999 * 60, 240, "0.300000", "0.180000", id="B.E3",
        ),
        pytest.param(
            {"kind": "flat_on_consumption", "baskets": MOBILE},
            98 * 60 + 30, 240, "0.250000", "0.240000", id="B.E4",
        ),
        pytest.param(None, 98 * 60 + 30, 240, "0.400000", "0.240000", id="B.E5"),
        pytest.param(
            {"kind": "flat_business", "baskets": MOBILE}, 1, 240, "0.000000", "0.000000", id="FLAT, inside"
        ),
        pytest.param({"kind": "recipe", "baskets": MOBILE}, 1, 240, "0.000000", "0.240000", id="recipe, in"),
    ],
)  # fmt: skip
def test_inside_and_beyond(
    tmp_path: Path, offer: Json | None, used: int, seconds: int, customer: str, resale: str
) -> None:
    assert both(tmp_path, case(offer, earlier(used), call("c", seconds))) == (customer, resale)


def test_e6_billed_seconds_fill_the_basket(tmp_path: Path) -> None:
    """B.E6: what no basket takes is charged by the second."""
    written = case({"kind": "recipe", "baskets": MOBILE}, earlier(98 * 60 + 30), call("c", 150))
    written["tariffs"]["list"] = [row(per_minute="0.10", first=60, next=60)]
    found = run(
        tmp_path,
        **{
            **written,
            "calls": [earlier(98 * 60), call("m", 30, answer="2026-10-03T10:00:00Z"), call("c", 150)],
        },
    )
    assert prices(found)["c"] == "0.200000"
    written["tariffs"]["list"] = [row(per_minute="0.10", first=30, next=30)]
    found = run(tmp_path, **written)
    rated = next(each for each in found["rated"] if each["id"] == "c" and each["level"] == "customer")
    assert (rated["billed_seconds"], rated["in_basket_seconds"], rated["price"]) == (150, 90, "0.100000")
    written["calls"] = [earlier(98 * 60 + 30), call("c", 180)]
    assert prices(run(tmp_path, **written))["c"] == "0.150000"


def test_e7_a_basket_for_each_destination(tmp_path: Path) -> None:
    """B.E7."""
    baskets = [
        {"name": "A", "classes": ["FR_FIXE"], "minutes": 1000},
        {"name": "B", "classes": ["FR_MOBILE"], "minutes": 100},
        {"name": "C", "classes": ["INT_FIXE"], "minutes": 60},
    ]
    written = case({"kind": "recipe", "baskets": baskets}, call("c", 6600))
    found = run(tmp_path, **written)
    assert nets(found) == ["1.00"]
    assert found["rated"][0]["in_basket_seconds"] == 6000


def test_baskets_in_order_of_priority_then_name(tmp_path: Path) -> None:
    """B.r20: the small one first, then the shared one; rows priced 0 take nothing."""
    baskets = [
        {"name": "shared", "priority": 1, "classes": ["FR_MOBILE", "FR_FIXE", "FREE"], "minutes": 10},
        {"name": "mobile", "priority": 0, "classes": ["FR_MOBILE"], "minutes": 5},
    ]
    written = case({"kind": "recipe", "baskets": baskets})
    written["tariffs"] = {
        "list": [row(per_minute="0.10"), row("+331", "FR_FIXE", per_minute="0.10"), row("+33800", "FREE")]
    }
    times = (f"2026-10-2{n}T10:00:00Z" for n in range(9))
    written["calls"] = [
        call("free", 6000, "0800123456", answer=next(times)),
        call("m", 7 * 60, answer=next(times)),
        call("f", 7 * 60, "0142681234", answer=next(times)),
        call("n", 2 * 60, answer=next(times)),
        call("g", 2 * 60, "0142681234", answer=next(times)),
    ]
    found = run(tmp_path, **written)
    assert {each["id"]: each["in_basket_seconds"] for each in found["rated"]} == {
        "free": 0, "m": 420, "f": 420, "n": 60, "g": 0
    }  # fmt: skip


def test_set_up_is_charged_with_the_charged_part(tmp_path: Path) -> None:
    """B.r20, B.r22: whole when a second is charged, else not; so for the reseller of a FLAT Business."""
    written = case({"kind": "flat_business", "baskets": MOBILE}, call("in", 60), call("over", 6000))
    written["tariffs"] = {level: [row(per_minute="0.10", setup="0.08")] for level in ("list", "resale")}
    found = run(tmp_path, **written)
    assert prices(found) == prices(found, "resale") == {"in": "0.000000", "over": "0.180000"}


def test_e10_counters_restart(tmp_path: Path) -> None:
    """B.E10: at 00:00 local."""
    written = case(
        {"kind": "recipe", "baskets": MOBILE}, earlier(6000), call("c", 60, answer="2026-10-31T23:00:00Z")
    )
    assert prices(run(tmp_path, **written, period="2026-11")) == {"c": "0.000000"}
    written["calls"] = [earlier(6000), call("c", 60, answer="2026-10-31T22:59:59Z")]
    assert prices(run(tmp_path, **written))["c"] == "0.100000"


def test_e12_order_of_arrival(tmp_path: Path) -> None:
    """B.E12."""
    calls = [call(f"c{n}", 900 + n, answer=f"2026-10-2{n}T10:00:00Z") for n in range(9)]
    written = case({"kind": "recipe", "baskets": MOBILE}, *calls)
    first = run(tmp_path, **written)
    assert run(tmp_path, **{**written, "calls": calls[::-1]}) == first


def test_e13_one_number_only(tmp_path: Path) -> None:
    """B.E13: on creation, and when a second number is added."""
    written = case({"kind": "flat_business", "baskets": MOBILE})
    written["accounts"][0]["line"]["numbers"] = ["+33142000001", "+33142000002"]
    assert refused(tmp_path, **written) == ["one_number_only"]
    flat = Offer("business", OfferKind.FLAT_BUSINESS)
    assert offers.fits(flat, ["+33142000001"]) is None
    added = offers.fits(flat, ["+33142000001", "+33142000002"])
    assert added is not None
    assert added.code is Code.ONE_NUMBER_ONLY
    assert "exactly one number" in added.why


def test_e15_only_the_back_office_downgrades(tmp_path: Path) -> None:
    """B.E15."""
    written = case({"kind": "flat_business", "monthly": "31.00"})
    change = {"from": "2026-10-11", "value": "pay_per_use"}
    line = written["accounts"][0]["line"]
    line["offer"] = [{"value": "o"}, {**change, "by": "partner"}]
    assert refused(tmp_path, **written) == ["back_office_only"]
    line["offer"] = [{"value": "o"}, {**change, "by": "back_office"}]
    assert nets(run(tmp_path, **written)) == ["10.00"]
    flat = Offer("business", OfferKind.FLAT_BUSINESS)
    assert offers.may_change(offers.PAY_PER_USE, flat, Actor.PARTNER) is None


def test_e16_fee_by_days_minutes_whole(tmp_path: Path) -> None:
    """B.E16."""
    calls = [call("in", 60, answer="2026-10-15T21:59:59Z"), call("out", 60, answer="2026-10-15T22:00:00Z")]
    written = case({"kind": "flat_on_consumption", "monthly": "19.90", "baskets": MOBILE}, *calls)
    written["accounts"][0]["line"]["offer"] = [{"value": "o"}, {"from": "2026-10-16", "value": "pay_per_use"}]
    found = run(tmp_path, **written)
    assert nets(found) == ["9.63", "0.10"]
    assert prices(found) == {"in": "0.000000", "out": "0.100000"}


def test_e18_e19_levels(tmp_path: Path) -> None:
    """B.E18, B.E19: three rows; nothing of a level on the invoice of the one before it."""
    written = case(None, call("c", 600))
    levels = {"list": "0.10", "resale": "0.0613", "carrier": "0.0421"}
    written["tariffs"] = {level: [row(per_minute=price)] for level, price in levels.items()}
    found = run(tmp_path, **written)
    assert [(each["level"], each["price"]) for each in found["rated"]] == [
        ("customer", "1.000000"), ("resale", "0.613000"), ("carrier", "0.421000")
    ]  # fmt: skip
    seen = json.dumps(found["invoices"])
    assert not any(word in seen for word in ("0.61", "0.387", "0.42", "resale", "carrier"))


def test_e20_credit_may_go_below_zero(tmp_path: Path) -> None:
    """B.E20: rated after the call; each alert once."""
    written = case(None, call("c", 36), call("d", 6, answer="2026-10-22T10:00:00Z"))
    written["accounts"][0]["credit"] = "0.05"
    (credit,) = run(tmp_path, **written)["credits"]
    assert (credit["left"], [alert["below_percent"] for alert in credit["alerts"]]) == ("-0.02", [20, 5, 0])
    written["calls"] = [call("c", 36)]
    assert run(tmp_path, **written)["credits"][0]["left"] == "-0.01"


def test_alerts_count_top_ups(tmp_path: Path) -> None:
    """B.r23: of the credit at the start and all top-ups; once each."""
    written = case(None, *(call(f"c{n}", 60, answer=f"2026-10-2{n}T10:00:00Z") for n in range(9)))
    written["accounts"][0].update(credit="0.50", top_ups=[{"at": "2026-10-24T12:00:00Z", "amount": "0.50"}])
    (credit,) = run(tmp_path, **written)["credits"]
    assert credit["left"] == "0.10"
    assert credit["alerts"] == [
        {"below_percent": 20, "id": "c4"}, {"below_percent": 5, "id": "c4"}
    ]  # fmt: skip


def test_e21_e22_channels() -> None:
    """B.E22 and the figure of B.E21: an offer's own, else the contract's, and FLAT Business keeps its own."""
    flat = Offer("business", OfferKind.FLAT_BUSINESS, channels=4)
    assert offers.channels(flat, 2, None) == 4
    refused_ = offers.channels(flat, 2, 6)
    assert isinstance(refused_, Refused)
    assert refused_.code is Code.CHANNELS_FIXED
    assert offers.channels(offers.PAY_PER_USE, 2, None) == 2
    assert offers.channels(offers.PAY_PER_USE, 2, 6) == 6


def test_a_flat_business_keeps_its_channels(tmp_path: Path) -> None:
    """Seed 002."""
    written = case({"kind": "flat_business", "channels": 4})
    written["accounts"][0]["line"]["channels"] = 6
    assert refused(tmp_path, **written) == ["channels_fixed"]


def test_e22_a_new_line_pays_per_use(tmp_path: Path) -> None:
    """B.E22."""
    assert both(tmp_path, case(None, call("c", 60))) == ("0.100000", "0.060000")
