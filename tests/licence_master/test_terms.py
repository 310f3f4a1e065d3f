"""SSA, credits, rent and devices at a serving master: its calendar, its API, its commands, its restarts."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from licence_master.cli.commands import app
from licence_master.config import MasterConfig
from licence_master.edges import metrics
from licence_master.service.administration import Document, Inventory
from licence_master.service.founding import surroundings
from licence_master.service.installation import Installation, open_installation
from licence_master.service.told import term_views
from licence_master.store.directory import DataDirectory
from licence_master.store.keys import make_keys
from licensing.codes import Code
from licensing.files.inventory import Item
from licensing.terms import day
from licensing.terms.agreeing import Wanted
from licensing.terms.term_events import Debited, SsaProlonged
from runtime.ballast import Room
from runtime.clock import Monotonic, Wall
from runtime.config import ConfigErrors, load, parse
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licensing.agreements import on

MAC = "00-90-33-01-02-03"
RELEASES = 'releases:\n  - {release: 13, published: 2022-06-01}\n  - {release: 14, published: "2999-01-01"}\n'
COMMANDS = (
    *("terms", "ssa list", "ssa start", "ssa prolong", "ssa auto", "ssa end", "ssa rights", "ssa upgrade"),
    *("ssa offers", "ssa confirm", "credits list", "credits add", "credits take", "credits set"),
    *("rent list", "rent start", "rent end"),
    *("devices list", "devices add", "devices extend", "devices remove"),
)


class Calendar:
    """A clock that stands at noon of a day."""

    def __init__(self, today: str) -> None:
        self.today = today

    def monotonic_ms(self) -> Monotonic:
        return Monotonic(0)

    def wall_ms(self) -> Wall:
        return Wall(on(self.today) * day.MS + day.MS // 2)


@asynccontextmanager
async def serving(home: Path, calendar: Calendar) -> AsyncIterator[Installation]:
    """An installation in this process, with that calendar; made where there is none."""
    config = load(Master(home).config, MasterConfig)
    directory = DataDirectory(config.data)
    make_keys(directory, "localhost", "0.0")
    around = dataclasses.replace(surroundings(config), clock=calendar)
    installation = await open_installation("acme", around)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(installation.run())
        await installation.begin(config.installations[0], recovery=False)
        yield installation
        installation.stop()
    await installation.close()


async def said(installation: Installation) -> list[str]:
    """What the log reminds of when the timer looks."""
    with capture_logs() as lines:
        await installation.terms.follow()
        await installation.terms.follow()
    return [str(line["text"]) for line in lines if line["event"] == "reminder.said"]


async def test_a_reminder_is_given_once_whatever_is_restarted_and_after_a_long_stop_the_latest_only(
    tmp_path: Path,
) -> None:
    calendar = Calendar("2026-01-01")
    async with serving(tmp_path, calendar) as acme:
        assert await acme.terms.register(MAC, "IP3011", "S1", on("2025-04-02"), "anna") is None
        assert await said(acme) == []
        calendar.today = "2026-01-02"
        assert await said(acme) == [f"warranty ends in 90 days, on 2026-04-02: IP3011 {MAC}"]
    async with serving(tmp_path, calendar) as acme:
        assert await said(acme) == []
    calendar.today = "2026-03-28"  # past 60, 30 and 7
    async with serving(tmp_path, calendar) as acme:
        assert await said(acme) == [f"warranty ends in 5 days, on 2026-04-02: IP3011 {MAC}"]
        (term,) = term_views.terms(acme.terms.state, acme.terms.today)
        assert (term.kind, term.days_left, term.reminded) == ("warranty", 5, "2026-03-28")
        assert term.reminder == f"warranty ends in 5 days, on 2026-04-02: IP3011 {MAC}"
        assert 'licence_term_days_left{installation="acme",kind="warranty"} 5.0' in exposed(acme)
    calendar.today = "2027-01-01"
    async with serving(tmp_path, calendar) as acme:
        assert await said(acme) == [f"warranty ended on 2026-04-02: IP3011 {MAC}"]
        assert 'licence_term_days_left{installation="acme",kind="warranty"} -1.0' in exposed(acme)
    async with serving(tmp_path, calendar) as acme:
        assert await said(acme) == []
        assert (await acme.past.entries(1))[0].actor == "master"


def exposed(installation: Installation) -> str:
    return metrics.exposition({"acme": installation}).decode()


async def test_b_h4_a_prolongation_is_audited_and_survives(tmp_path: Path) -> None:
    calendar = Calendar("2026-03-10")
    async with serving(tmp_path, calendar) as acme:
        await acme.terms.credit("ssc", 25, "order 4711", "anna")
        await installed(acme, "PBX-Port13", 5)
        assert await acme.terms.agree(Wanted("1", 1, 2, auto=True), "anna") is None
    calendar.today = "2027-03-05"
    async with serving(tmp_path, calendar) as acme:
        await acme.terms.follow()
        book = acme.terms.state.book
        assert (book.ssc, day.shown(book.lots[1].ssa.until_day)) == (5, "2028-03-09")  # type: ignore[union-attr]
        rows = await acme.past.entries(2)
        assert [(row.actor, type(row.event)) for row in rows] == [("terms", SsaProlonged), ("terms", Debited)]
        assert 'licence_credits{installation="acme",unit="ssc"} 5.0' in exposed(acme)


async def installed(acme: Installation, type_: str, count: int) -> None:
    document = Document("stock.csv", Inventory("digest", (Item(type_, count),)))
    done = await acme.administration.install([document], again=True, dry_run=False, actor="anna")
    assert not isinstance(done, tuple), done


async def test_a_full_disk_stops_what_is_new_and_not_the_rent(tmp_path: Path) -> None:
    calendar = Calendar("2026-01-01")
    async with serving(tmp_path, calendar) as acme:
        await acme.terms.credit("isc", 10, "order", "anna")
        assert await acme.terms.rent(Item("PBX-Port13", 5), 1, 1, "anna") is None
        acme.writer.ballast.room = Room.SHORT
        refused = await acme.terms.credit("isc", 10, "order", "anna")
        assert refused is not None
        assert refused.code is Code.DISK_FULL
        calendar.today = "2026-01-03"
        assert await said(acme) == []
        assert acme.terms.state.book.isc == 0
        number = next(iter(acme.terms.state.entitlements))
        assert await acme.terms.end_rent(number, None, "anna") is None


async def test_l_t7_live_rent_that_runs_out_recalls_and_cuts_nobody_and_a_credit_goes_on(
    tmp_path: Path,
) -> None:
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-Port13,5")
        master.order("/credits", {"unit": "isc", "action": "add", "amount": 100, "why": "order"})
        master.order("/rentals", {"type": "PBX-Port13", "count": 5, "isc": 1, "days": 30})
        async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
            await lyon.sync({"seat": 6})
            await hq.sync({"seat": 4})
            assert (lyon.shares, hq.shares) == ({"seat": 6}, {"seat": 4})
            master.order("/credits", {"unit": "isc", "action": "set", "amount": 0, "why": "portal"})
            assert port(master) == (5, 10, 5)  # usable, lent, surplus
            master.wait_for("rental.stopped", 1)
            assert await lyon.wake()
            await lyon.sync({"seat": 6})
            await hq.sync({"seat": 4})
            assert lyon.shares["seat"] + hq.shares["seat"] == 10, "nobody is cut"
            await hq.sync({"seat": 5})
            assert hq.shares["seat"] == 4, "nothing new is granted"
            assert [row["pool"] for row in master.ask("/licences") if row["rented"]] == [None]
            assert [row["alarm"] for row in master.ask("/terms")] == [True]
            master.order("/credits", {"unit": "isc", "action": "add", "amount": 9, "why": "order"})
            assert port(master) == (10, 10, 0)
            master.wait_for("rental.resumed", 1)


def port(master: Master) -> tuple[int, int, int]:
    (row,) = [row for row in master.ask("/pools") if row["pool"] == "port"]
    return row["usable"], row["lent"], row["surplus"]


def typed(master: Master, *words: str, code: int = 0) -> Result:
    """A command, in this process."""
    done = CliRunner().invoke(app, [*words, "--config", str(master.config)])
    assert done.exit_code == code, (words, done.output)
    return done


def test_a_year_of_an_administrator_by_command(tmp_path: Path) -> None:
    master = Master(tmp_path)
    master.config.write_text(RELEASES + master.config.read_text())
    with master.init().start():
        stock(master, "PBX-Operator12,2", "PBX-Port13,5", "Relay-PRIs,1")
        assert "500 SSC, 0 iSC" in typed(master, "credits", "add", "ssc", "500", "--why", "order 4711").stdout
        assert (
            "expected ssc or isc" in typed(master, "credits", "add", "eur", "1", "--why", "x", code=2).stderr
        )
        typed(master, "credits", "take", "ssc", "20", "--why", "another box")
        said = typed(master, "credits", "take", "ssc", "481", "--why", "x", code=1).stderr
        assert "481 SSC are to be taken, 480 are there" in said
        typed(master, "credits", "set", "isc", "60", "--why", "portal")
        statement = typed(master, "credits", "list").stdout
        assert statement.splitlines()[0] == "480 SSC, 60 iSC"
        assert statement.splitlines()[1].split() == ["DAY", "UNIT", "AMOUNT", "BALANCE", "BY", "WHY"]
        assert "socket" in statement
        assert "another box" in statement

        said = typed(master, "ssa", "start", "Relay-PRIs", "--years", "1", "--ssc", "0", code=1).stderr
        assert "hardware_bound" in said
        assert "it cannot be put under SSA" in said
        said = typed(master, "rent", "start", "Relay-PRIs", "1", "--isc", "1", "--days", "1", code=1).stderr
        assert "hardware_bound" in said
        assert "it cannot be rented" in said
        since = ("--since", "2022-05-01", "--until", "2099-12-31")
        lots = typed(
            master, "ssa", "start", "PBX-Operator12", "--years", "1", "--ssc", "3", "--auto", *since
        ).stdout
        assert "2099-12-31" in lots
        assert (
            "already_agreed"
            in typed(master, "ssa", "start", "1", "--years", "1", "--ssc", "3", code=1).stderr
        )
        typed(master, "ssa", "auto", "1", "--off")
        typed(master, "ssa", "prolong", "PBX-Operator12")
        assert "2100-12-31" in typed(master, "ssa", "list").stdout
        assert "no release 15" in typed(master, "ssa", "rights", "15", code=1).stderr
        rights = typed(master, "ssa", "rights", "13").stdout
        assert "hardware has no version" in rights
        assert (
            "2999-01-01"
            in typed(master, "ssa", "upgrade", "PBX-Port13", "1", "--release", "14", code=1).stderr
        )
        said = typed(master, "ssa", "upgrade", "PBX-Operator12", "2", "--release", "13").stdout
        assert "offered: 6 PBX-App(innovaphone-switchboard)13" in said
        number = said.split("ssa confirm ")[1].split()[0]
        assert number in typed(master, "ssa", "offers").stdout
        assert not [row for row in master.ask("/pools") if row["pool"] == "app-switchboard"]
        typed(master, "ssa", "confirm", number)
        assert [row["usable"] for row in master.ask("/pools") if row["pool"] == "app-switchboard"] == [6]
        assert "not_found" in typed(master, "ssa", "confirm", number, code=1).stderr
        typed(master, "ssa", "end", "1")

        typed(master, "rent", "start", "PBX-Port13", "5", "--isc", "2", "--days", "30")
        rented = json.loads(typed(master, "rent", "list", "--json").stdout)[0]
        assert "rented" in typed(master, "licences").stdout
        terms = typed(master, "terms").stdout
        assert "5 rented units" in terms
        typed(master, "rent", "end", str(rented["number"]), "--count", "2")
        typed(master, "rent", "end", str(rented["number"]))
        assert json.loads(typed(master, "rent", "list", "--json").stdout) == []

        typed(master, "devices", "add", MAC, "--bought", "2020-02-29", "--model", "IP3011", "--serial", "S1")
        assert "2021-02-28" in typed(master, "devices", "list").stdout
        typed(master, "devices", "extend", MAC)
        assert "2025-02-28" in typed(master, "devices", "list").stdout
        assert "already_agreed" in typed(master, "devices", "extend", MAC, code=1).stderr
        for bought, found in (
            ("29.2.2020", "a date such as"),
            ("2021-02-29", "there is no date"),
            ("2999-01-01", "has not come yet"),
        ):
            assert found in typed(master, "devices", "add", MAC, "--bought", bought, code=1).stderr
        typed(master, "devices", "remove", MAC)
        assert "not_found" in typed(master, "devices", "remove", MAC, code=1).stderr
        for command in ("terms", "ssa list", "ssa offers", "rent list", "devices list", "credits list"):
            json.loads(typed(master, *command.split(), "--json").stdout)
        assert "unbroken" in typed(master, "audit", "verify").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_the_terms_shows_an_example(command: str) -> None:
    said = CliRunner().invoke(app, [*command.split(), "--help"])
    assert said.exit_code == 0
    assert f"Example: licence-master {command}" in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("{release: 14, published: 2027-13-08}", "2:30: releases[0].published:"),
        ("{release: 14, published: soon}", "2:30: releases[0].published:"),
        ('{release: 14, published: "2027-02-29"}', "2:30: releases[0].published:"),
        ("{release: 14, published: 2027-03-08, new: [News!]}", "releases[0].new[0]:"),
        ("{release: 14}", "releases[0].published:"),
    ],
)
def test_a_bad_release_names_its_place(line: str, place: str, tmp_path: Path) -> None:
    text = f"releases:\n  - {line}\n" + Master(tmp_path).config.read_text()
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "master.yaml", MasterConfig)
    assert place in str(caught.value)


def test_releases_are_read_plain_or_quoted(tmp_path: Path) -> None:
    config = parse(RELEASES + Master(tmp_path).config.read_text(), "master.yaml", MasterConfig)
    assert [(each.release, day.shown(each.day)) for each in config.published] == [
        (13, "2022-06-01"),
        (14, "2999-01-01"),
    ]
