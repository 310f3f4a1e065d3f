"""`pbx-agent check`: ranges, the table of cases, and a real run for each exit code."""

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from agent.edges.monitoring.judgement import CRITICAL, GRAVE, WARNING, State, judge
from agent.edges.monitoring.threshold import Range, thresholds
from licensing.codes import Code
from tests.agent.conftest import House
from tests.agent.test_program import PROGRAM, asked, command, rewrite, started
from tests.privileges import without_privileges

# As the guidelines tabulate them, then percent of 50.
RANGES = [
    ("10", [-1, 11], [0, 10]),
    ("10:", [9, -5], [10, 1_000_000]),
    ("~:10", [11], [-100, 10]),
    ("10:20", [9, 21], [10, 20]),
    ("@10:20", [10, 20], [9, 21]),
    ("@5", [0, 5], [-1, 6]),
    ("0", [1, -1], [0]),
    ("-5:-1", [0, -6], [-5, -1]),
    ("1.5:", [1], [2]),
    ("10%:", [4], [5, 50]),
    ("10%:20%", [4, 11], [5, 10]),
    ("@~:10%", [0, 5], [6]),
]


@pytest.mark.parametrize(("text", "wrong", "right"), RANGES)
def test_ranges(text: str, wrong: list[int], right: list[int]) -> None:
    range_ = Range.parse(text)
    assert [range_.alerts(value, whole=50) for value in wrong] == [True] * len(wrong)
    assert [range_.alerts(value, whole=50) for value in right] == [False] * len(right)
    assert Range.parse(str(range_)) == range_


@pytest.mark.parametrize("text", ["", ":", "@", "x", "20:10", "10%:20", "1:2:3", "~", "10 %:", "1e3", "٣"])
def test_no_ranges(text: str) -> None:
    with pytest.raises(ValueError, match="found"):
        Range.parse(text)


def test_percents_become_counts_in_performance_data() -> None:
    written = [Range.parse(text).absolute(50) for text in ("10%:", "10%:20%", "@~:10%", "3:", "4", "~:7")]
    assert written == ["5:", "5:10", "@~:5", "3:", "4", "~:7"]


def test_thresholds_are_set_over_the_defaults() -> None:
    found = thresholds(["20%:", "away=60", "surplus="], WARNING)
    assert found == {"free": Range.parse("20%:"), "away": Range.parse("60"), "surplus": None}
    with pytest.raises(ValueError, match="write one of free, away, surplus"):
        thresholds(["fre=1:"], WARNING)


def counts(**changed: int) -> dict[str, int | None]:
    names = (
        "granted",
        "recall_to",
        "used",
        "reserved",
        "waiting",
        "lingering",
        "surplus",
        "spare",
        "refused",
    )
    return {**dict.fromkeys(names, 0), "recall_to": None, **changed}


HEALTHY: dict[str, Any] = {
    "name": "lyon",
    "state": "in_sync",
    "master": {"url": "https://master:8443", "last_sync_ms": 1, "away_s": 20, "grace_left_s": 2_591_980},
    "classes": {"seat": counts(granted=50, used=12, lingering=1, spare=37, refused=3)},
    "bindings": 14,
    "enforcement": "enforce",
    "bypass_until_ms": None,
    "standing_in": [],
    "alarms": [],
}


def pbx(name: str = "lyon", *, away_s: int = 20, **changed: Any) -> dict[str, Any]:
    """The status of one PBX: healthy, but for what is given; `free` is how many units of 50 are spare."""
    made = {**deepcopy(HEALTHY), "name": name}
    made["master"]["away_s"] = away_s
    for metric in ("free", "surplus"):
        if metric in changed:
            field = {"free": "spare"}.get(metric, metric)
            made["classes"]["seat"] |= {field: changed.pop(metric), "lingering": 0}
    return {**made, **changed}


def alarm(code: Code) -> dict[str, Any]:
    return {"code": code.value, "since_ms": 1, "hint": "Do this | or that."}


OK, WARN, CRIT = State.OK, State.WARNING, State.CRITICAL
CASES = [
    (OK, pbx(), [], []),
    # each metric crosses both thresholds
    (OK, pbx(free=5), ["10%:"], ["2:"]),
    (WARN, pbx(free=4), ["10%:"], ["2:"]),
    (CRIT, pbx(free=1), ["10%:"], ["2:"]),
    (WARN, pbx(free=0), [], []),
    (OK, pbx(free=0), ["free="], []),
    (OK, pbx(state="away", away_s=300), [], []),
    (WARN, pbx(state="away", away_s=301), [], []),
    (WARN, pbx(state="away", away_s=86_400), [], []),
    (CRIT, pbx(state="away", away_s=86_401), [], []),
    (OK, pbx(away_s=900), [], []),  # a master that is asked each quarter of an hour is not away
    (OK, pbx(surplus=0), [], ["surplus=5"]),
    (WARN, pbx(surplus=1), [], ["surplus=5"]),
    (CRIT, pbx(surplus=6), [], ["surplus=5"]),
    # what is no matter of degree
    (WARN, pbx(bypass_until_ms=1_800_000_000_000), [], []),
    (WARN, pbx(state="recovering"), [], []),
    (WARN, pbx(state="frozen"), [], []),
    (CRIT, pbx(state="revoked"), [], []),
    (CRIT, pbx(state="grace_over", away_s=1), [], []),
    (CRIT, pbx(state="never_synced"), [], []),
    (WARN, pbx(alarms=[alarm(Code.NO_FREE_LICENCE)]), [], []),
    (WARN, pbx(alarms=[alarm(Code.MASTER_AWAY)]), [], []),
    (CRIT, pbx(alarms=[alarm(Code.PIN_MISMATCH)]), [], []),
    (CRIT, pbx(alarms=[alarm(Code.NO_FREE_LICENCE), alarm(Code.CLONE_SUSPECTED)]), [], []),
    (CRIT, pbx(free=0, alarms=[alarm(Code.AGENT_REVOKED)]), [], []),
    (OK, pbx(classes={}), [], []),
    # a class without a unit is nobody's worry before somebody wants one, unless phones draw it
    (OK, pbx(classes={"seat": counts(granted=5, spare=5), "conference_leg": counts(refused=1)}), [], ["1:"]),
    (WARN, pbx(classes={"conference_leg": counts(waiting=1)}), [], []),
    (WARN, pbx(classes={"conference_leg": counts(granted=1, used=1)}), [], []),
    (WARN, pbx(classes={"operator_login": counts(surplus=1)}), [], []),
    (WARN, pbx(classes={"seat": counts()}), [], []),
    (WARN, pbx(classes={"virtual_seat": counts()}), [], []),
]
LINE = re.compile(r"PBX-AGENT (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+ \| (?P<data>[^|]+)")
NUMBER = r"~?-?[\d.]*"
DATUM = re.compile(rf"[^ '=]+=-?\d+(s|c|)(;@?{NUMBER}:?{NUMBER}){{0,2}}(;\d*){{0,2}}")


def test_a_pbx_may_have_an_underscore_in_its_name() -> None:
    report = judge({"pbxs": [pbx("old_site", free=0, surplus=2)]}, WARNING, CRITICAL)
    assert {problem.text for problem in report.problems} == {
        "0 of 50 units of seat free (right is 1:)",
        "2 registrations without a unit of seat (right is 0)",
    }


@pytest.mark.parametrize(("state", "status", "warning", "critical"), CASES)
def test_judgement(state: State, status: dict[str, Any], warning: list[str], critical: list[str]) -> None:
    said = judge({"pbxs": [status]}, thresholds(warning, WARNING), thresholds(critical, CRITICAL))
    assert said.state is state
    match = LINE.fullmatch(said.line)
    assert match is not None, said.line
    assert match[1] == state.name
    assert [datum for datum in match["data"].split() if not DATUM.fullmatch(datum)] == []
    assert not any("|" in detail for detail in said.details)
    assert max((problem.state for problem in said.problems), default=OK) is state


def test_the_lines_as_people_see_them() -> None:
    sick = pbx("paris", free=1, bypass_until_ms=1_800_000_000_000, alarms=[alarm(Code.PIN_MISMATCH)])
    report = judge({"pbxs": [pbx(), sick]}, thresholds(["10%:"], WARNING), thresholds(["2:"], CRITICAL))
    data = (
        "lyon_away=0s;300;86400;0 lyon_bindings=14;;;0 lyon_seat_free=38;5:;2:;0;50 lyon_seat_used=12;;;0;50"
        " lyon_seat_waiting=0;;;0 lyon_seat_surplus=0;0;;0 lyon_seat_refused=3c"
    )
    assert str(report).splitlines() == [
        "PBX-AGENT CRITICAL - paris: pin_mismatch; paris: 1 of 50 units of seat free (right is 2:) | "
        + data + " " + data.replace("lyon", "paris").replace("free=38", "free=1"),
        "CRITICAL paris: pin_mismatch. Do this / or that.",
        "CRITICAL paris: 1 of 50 units of seat free (right is 2:).",
        "WARNING paris: everything is admitted until 2027-01-15 08:00 UTC. pbx-agent bypass --off",
        "lyon: in_sync, 12 of 50 units used, 14 bindings",
        "paris: in_sync, 12 of 50 units used, 14 bindings",
    ]  # fmt: skip


def test_every_code_that_is_grave_is_critical_and_no_other() -> None:
    critical = {code for code in Code if judge({"pbxs": [pbx(alarms=[alarm(code)])]}, {}, {}).state is CRIT}
    assert critical == {
        Code.AGENT_REVOKED, Code.CLONE_SUSPECTED, Code.SIGNATURE_INVALID, Code.UNKNOWN_AGENT,
        Code.UNKNOWN_INSTALLATION, Code.VERSION_UNSUPPORTED, Code.PIN_MISMATCH, Code.INSTANCE_CONFLICT,
        Code.DISK_FULL,
    }  # fmt: skip


def test_many_problems_make_no_endless_line() -> None:
    many = [pbx(f"site{number}", state="revoked") for number in range(20)]
    report = judge({"pbxs": many}, WARNING, CRITICAL)
    assert report.line.count("revoked") == 3
    assert "; 17 more | " in report.line
    assert sum("revoked this agent" in line for line in report.details) == 20


# --- real runs


@pytest.fixture
def config(house: House) -> Path:
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    return path


async def checked(config: Path, *words: str) -> tuple[int, str]:
    """Exit code and first line of `pbx-agent check`; nothing is said on stderr."""
    code, out, err = await command("check", "--config", str(config), *words)
    assert err == ""
    return code, out.splitlines()[0].partition(" | ")[0]


async def told(config: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, state and text of the only problem that programs are told of."""
    code, out, err = await command("check", "--json", "--config", str(config), *words)
    assert err == ""
    report = json.loads(out)
    assert list(report) == ["state", "line", "problems"]
    assert report["line"].startswith(f"PBX-AGENT {report['state']} - ")
    (problem,) = report["problems"]
    assert list(problem) == ["state", "pbx", "text", "hint"]
    return code, report["state"], problem["text"]


async def test_a_real_run_for_each_exit_code(house: House, config: Path) -> None:
    code, line = await checked(config)
    assert (code, "is `pbx-agent run` running?" in line) == (2, True), "an agent that is down is critical"
    for words, expected, text in (
        ((), (2, "CRITICAL"), "is `pbx-agent run` running?"),
        (("--nonsense",), (3, "UNKNOWN"), "--nonsense"),
        (("-w", "fre=5:"), (3, "UNKNOWN"), "write one of free, away, surplus"),
    ):
        *found, said = await told(config, *words)
        assert (tuple(found), text in said) == (expected, True), said
    async with started(config) as agent:
        assert await house.register("202") == 200
        assert await checked(config) == (0, "PBX-AGENT OK - lyon: in_sync, 1 of 3 units used, 1 bindings")
        free = "PBX-AGENT {} - lyon: 2 of 3 units of seat free (right is {}:)"
        assert await checked(config, "-w", "3:") == (1, free.format("WARNING", 3))
        assert await checked(config, "-w", "3:", "-c", "70%:") == (2, free.format("CRITICAL", "70%"))
        assert (await checked(config, "-w", "10:5"))[0] == 3
        assert (await checked(config, "-c", "fre=5:"))[0] == 3
        assert (await checked(config, "--nonsense"))[0] == 3
        assert await checked(config, "--pbx", "metz") == (
            3,
            "PBX-AGENT UNKNOWN - no PBX named metz in this agent",
        )
        await asked(config, "bypass", "--for", "1h")
        code, line = await checked(config)
        assert (code, line.startswith("PBX-AGENT WARNING - lyon: everything is admitted until ")) == (1, True)
        _, out, _ = await command("check", "--config", str(config), "--json")
        assert [row["state"] for row in json.loads(out)["problems"]] == ["WARNING"]
        await asked(config, "bypass", "--off")
        agent.process.send_signal(signal.SIGSTOP)
        code, line = await checked(config, "--timeout", "0.5")
        assert (code, "timed out" in line) == (2, True), "so is one that hangs"
        agent.process.send_signal(signal.SIGCONT)
    rewrite(config, "data:", "dato:")
    assert (await checked(config))[0] == 3


async def test_a_master_that_is_away_warns_and_then_is_critical(house: House, config: Path) -> None:
    async with started(config):
        assert await house.register("202") == 200
    house.master.open.clear()
    async with started(config):
        async with asyncio.timeout(10):
            while (await asked(config, "status"))["pbxs"][0]["master"]["away_s"] < 1:
                pass
        assert (await checked(config))[0] == 0
        assert (await checked(config, "-w", "away=0"))[0] == 1
        assert (await checked(config, "-w", "away=0", "-c", "away=0"))[0] == 2


async def test_who_may_not_ask_learns_nothing_about_the_agent(house: House, config: Path) -> None:
    """A plug-in without the right to ask is no alarm about the telephones."""
    async with started(config):
        (house.data / "agent.sock").chmod(0)
        process = await asyncio.create_subprocess_exec(
            *without_privileges(), PROGRAM, "check", "--config", str(config), stdout=PIPE
        )
        out, _ = await process.communicate()
    assert (process.returncode, out.startswith(b"PBX-AGENT UNKNOWN - ")) == (3, True)
    assert b"ask as root or as a member of its group" in out


def test_the_page_has_every_alarm_that_is_critical() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| alarms"))
    assert set(re.findall(r"`(\w+)`", row)) == {str(code) for code in GRAVE}
