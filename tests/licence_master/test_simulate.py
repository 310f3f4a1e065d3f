"""simulate and what-if: the files and commands, and that they answer as the running master does."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from licence_master.cli import app
from licence_master.edges import scenario_file
from licensing import wire
from tests.licence_master.conftest import join
from tests.licence_master.master import PROGRAM, TIMEOUT_S, Master
from tests.licence_master.peer import Peer

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "config" / "schema" / "scenario.json"
DOC = ROOT / "docs" / "simulate.md"

HEAD = """
pbxs:
  - {name: hq, role: master, platform: gateway, mac: "00-90-33-01-02-03"}
  - {name: lyon, role: slave, platform: ipva, mac: "00-90-33-0a-0b-0c"}
objects:
  - {name: u1, kind: user, pbx: lyon}
  - {name: u2, kind: user, pbx: lyon}
"""


def simulate(path: Path, text: str) -> dict[str, Any]:
    """What the program answers to a scenario."""
    file = path / "scenario.yaml"
    file.write_text(text)
    done = subprocess.run(
        [*PROGRAM, "simulate", str(file), "--json"], capture_output=True, timeout=TIMEOUT_S, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def told(path: Path, text: str) -> str:
    """What the command prints for people."""
    file = path / "scenario.yaml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["simulate", str(file)])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_example_of_the_contract(tmp_path: Path) -> None:
    text = HEAD + (
        "licences: [{type: PBX-Port13, count: 2}, {type: PBX-IPVA13, count: 1}]\n"
        "steps: [{register: u1, device: dect}, {register: u1, device: desk}, {register: u2, device: desk}]\n"
    )
    answer = simulate(tmp_path, text)
    assert answer["steps"][:2] == [
        {"step": 1, "ok": True, "code": None, "drew": {"port": 1, "ipva": 1}},
        {"step": 2, "ok": True, "code": None, "drew": {}},
    ]
    third = answer["steps"][2]
    assert (third["ok"], third["code"], third["drew"]) == (False, "ipva_missing", {})
    assert "1 of 1 ipva are used" in third["why"]
    assert answer["pools"] == {
        "port": {"installed": 2, "usable": 2, "used": 1, "free": 1},
        "ipva": {"installed": 1, "usable": 1, "used": 1, "free": 0},
    }
    assert answer["warnings"] == []


def test_warnings_reasons_and_refused_licences(tmp_path: Path) -> None:
    text = HEAD + (
        "licences:\n"
        '  - {type: "PBX-Port 13%500", count: 100}\n'
        "  - {type: App(phone), count: 1}\n"
        "  - {type: PBX-Port13$20, count: 5}\n"
        "  - {type: PBX-UC12, count: 1}\n"
        "  - {type: Relay-PRIs, count: 1}\n"
    )
    answer = simulate(tmp_path, text)
    assert answer["warnings"] == [
        {"code": "tier_base_missing", "pool": "port", "tier": 500, "have": 0, "need": 500},
        {"code": "quarantined", "type": "App(phone)"},
    ]
    assert [(row["licence"], row["code"]) for row in answer["refused"]] == [(3, "smb_exclusion")]
    uc = answer["pools"]["uc"]
    assert (uc["usable"], uc["reason"]) == (0, "licence_version_too_low")
    assert "1 PBX-UC12" in uc["why"]
    assert answer["pools"]["relay-pri@hq"]["installed"] == 1


def test_people_read_tables_reasons_and_what_helps(tmp_path: Path) -> None:
    text = HEAD + (
        "licences: [{type: PBX-Port13, count: 1}, {type: PBX-IPVA13, count: 1, until: 2027-01-31}]\n"
        "steps: [{register: u1}, {register: u2}, {set_time: 2027-02-01}, {assign: u1, licence: uc}]\n"
    )
    output = told(tmp_path, text)
    assert re.search(r"2 +register u2 +no: no_free_licence", output)
    assert re.search(r"3 +set_time 2027-02-01 +yes", output)
    assert "What helps: Free a registration or install more licences of this pool." in output
    assert "never cut: u1 at lyon" in output
    assert re.search(r"ipva +0 +0 +1 +0 +1", output)


def test_wrong_files_name_every_error_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        HEAD.replace("kind: user, pbx: lyon}", "kind: usr, pbx: lion}", 1)
        + "steps:\n  - {register: u3, devise: x}\n  - {register: u2, at: lion}\n  - {unplug: u1}\n"
        "  - {install: PBX-Port13, count: many}\n  - {set_time: tomorrow}\n  - {upgrade: 0}\n"
    )
    done = CliRunner().invoke(app, ["simulate", str(file)])
    assert done.exit_code == 4
    for place in (
        r'wrong.yaml:6:32: *objects\[0\].pbx: "lion" is none of pbxs; did you mean lyon\?',
        r'wrong.yaml:9:20: *steps\[0\].devise: unknown key; did you mean "device"\?',
        r'wrong.yaml:10:24: *steps\[1\].at: "lion" is none of pbxs; did you mean lyon\?',
        r"wrong.yaml:11:5: *steps\[2\]: expected a step: register, unregister",
        r"wrong.yaml:12:34: *steps\[3\].count: expected a whole number",
        r"wrong.yaml:13:16: *steps\[4\].set_time: expected a date such as 2027-01-31, found the text",
        r"wrong.yaml:14:15: *steps\[5\].upgrade: expected at least 1",
        "7 errors; nothing was simulated",
    ):
        assert re.search(place, done.output), f"{place}\n{done.output}"


def test_wrong_dates_and_misspelt_steps_are_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        HEAD + "licences:\n  - {type: PBX-Port13, count: 1, until: 2027-02-30}\n"
        "steps:\n  - {set_time: 2027-13-01}\n  - {set_time: 1.5}\n  - {set_time: 7}\n"
        "  - {register: u1, unregister: u1}\n  - {regster: u1}\n  - {register: u1, call: x, device: dect}\n"
        "  - {register: u1, licence: operator}\n"
    )
    done = CliRunner().invoke(app, ["simulate", str(file)])
    assert done.exit_code == 4
    wanted = "expected a date such as 2027-01-31, found "
    for told in (
        f"licences[0].until: {wanted}a date that does not exist (YAML reads 2027-02-30 so)",
        f"steps[0].set_time: {wanted}a date that does not exist (YAML reads 2027-13-01 so)",
        f"steps[1].set_time: {wanted}the number 1.5",
        f"steps[2].set_time: {wanted}the number 7",
        "steps[3].unregister: a second step beside register; write it as a step of its own",
        'steps[4].regster: unknown step; did you mean "register"?',
        "steps[5].call: a second step beside register; write it as a step of its own",
        "steps[6].licence: unknown key\n",
        "8 errors; nothing was simulated",
    ):
        assert told in done.output, f"{told}\n{done.output}"


def test_a_file_that_is_not_there_is_no_bad_data(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["simulate", str(tmp_path / "nothing.yaml")]).exit_code == 2


def test_legs_join_rooms_and_clients_watch_queues(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        HEAD + "steps: [{join: u1, call: c1}, {monitor: u2, client: pc1}, {login: phone, user: u1}]\n"
    )
    done = CliRunner().invoke(app, ["simulate", str(file)])
    assert "steps[0].join: expected an object of kind conference, found the user u1" in done.output
    assert "steps[1].monitor: expected an object of kind waiting_queue or group, found" in done.output
    wanted = "expected a licence that is taken per login (operator)"
    assert f'steps[2].login: {wanted}, found "phone"' in done.output


def test_the_schema_for_editors_is_that_of_the_model() -> None:
    """After a change: make schema."""
    assert json.loads(SCHEMA.read_text()) == scenario_file.schema()


def test_every_example_of_the_page_is_answered_as_it_says(tmp_path: Path) -> None:
    examples = re.findall(
        r"```yaml\n(.*?)```\n\n```\n\$ licence-master simulate.*?\n(.*?)```", DOC.read_text(), re.S
    )
    assert len(examples) >= 3
    for text, output in examples:
        assert lines(told(tmp_path, text)) == lines(output)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def test_every_step_and_field_is_on_the_page() -> None:
    page = DOC.read_text()
    schema = json.loads(SCHEMA.read_text())
    for name, definition in schema["$defs"].items():
        for field in definition["properties"]:
            assert re.search(rf"\b{field}\b", page), f"{name}.{field}"


# ---- the same questions, three ways

SITES = """
pbxs:
  - {name: hq, role: master, platform: gateway, model: IP3011, mac: "00-90-33-01-02-03"}
  - {name: lyon, role: slave, platform: gateway}
  - {name: nice, role: slave, platform: ipva}
objects:
  - {name: h1, pbx: hq}
  - {name: h2, pbx: hq}
  - {name: l1, pbx: lyon}
  - {name: l2, pbx: lyon}
  - {name: n1, pbx: nice}
  - {name: n2, pbx: nice}
  - {name: q1, kind: waiting_queue, pbx: hq}
steps:
  - {install: PBX-Port12, count: 2}
  - {install: PBX-Port13, count: 2}
  - {install: "Port 13%500", count: 1}
  - {install: PBX-Port13$20, count: 5}
  - {install: PBX-Standby13, count: 5, place: lyon}
  - {install: PBX-IPVA13, count: 1}
  - {install: PBX-UC13, count: 1}
  - {install: App(chat), count: 1}
  - {register: h1}
  - {upgrade: 12}
  - {register: h1}
  - {register: l1}
  - {register: n1}
  - {register: n2}
  - {assign: h1, licence: uc}
  - {assign: h2, licence: uc}
  - {assign: h2, licence: app-softphone}
  - {assign: q1, licence: uc}
  - {register: l2}
  - {register: h2}
  - {register: n2}
  - {unregister: l2}
  - {register: h2}
  - {upgrade: 13, pbx: lyon}
  - {register: l2}
  - {remove: PBX-Port12, count: 2}
  - {remove: PBX-Port12, count: 1}
  - {unassign: h1, licence: uc}
  - {unassign: h1, licence: uc}
  - {register: l2}
  - {unregister: h1}
  - {register: l2}
  - {install: PBX-Port13, count: 1, place: lyon}
  - {register: h1}
"""


class Live:
    """A running master with an agent for each PBX; each answers with the code of a refusal, or None."""

    def __init__(self, master: Master, peers: dict[str, Peer], homes: dict[str, str]) -> None:
        self.master, self.peers, self.homes = master, peers, homes
        self.kinds = {"q1": "waiting_queue"}
        self.here: dict[str, list[str]] = {name: [] for name in peers}

    async def step(self, step: dict[str, Any]) -> str | None:
        code = await self.tried(step)
        for name in self.peers:  # what changed for them they hear with their next sync
            await self.sync(name)
        return code

    async def tried(self, step: dict[str, Any]) -> str | None:
        match step:
            case {"register": name}:
                return await self.register(name)
            case {"unregister": name}:
                self.here[self.homes[name]].remove(name)
            case {"install": type_, "count": count}:
                rows = json.dumps([{"type": type_, "count": count, "place": step.get("place")}])
                files = [{"name": "one.yaml", "content": f"licences: {rows}"}]
                return await self.order("/licences", {"files": files, "again": True})
            case {"remove": type_, "count": count}:
                return await self.order("/licences/remove", {"type": type_, "count": count})
            case {"assign": name, "licence": licence}:
                row = {
                    "object": name,
                    "licence": licence,
                    "pbx": self.homes[name],
                    "kind": self.kinds.get(name, ""),
                }
                return await self.order("/assignments", {"rows": [row]}) or self.standing(name, licence)
            case {"unassign": name, "licence": licence}:
                return await self.order("/assignments/remove", {"object": name, "licence": licence})
            case {"upgrade": release}:
                for name in [step["pbx"]] if "pbx" in step else self.peers:
                    self.peers[name].software = release
                    await self.sync(name)
            case _:
                raise AssertionError(f"no such step here: {step}")
        return None

    async def order(self, path: str, body: dict[str, Any]) -> str | None:
        with self.master.api() as api:
            response = await asyncio.to_thread(api.post, f"/installations/acme{path}", json=body)
        return None if response.is_success else response.json()["code"]

    def standing(self, name: str, licence: str) -> str | None:
        (row,) = self.master.ask(f"/assignments?object={name}&licence={licence}")
        return str(row["code"]) if row["state"] == "waiting" else None

    async def register(self, name: str) -> str | None:
        pbx = self.homes[name]
        if name in self.here[pbx]:
            return None
        answer = await self.sync(pbx, waiting=1)
        denial = next(iter(answer.denials.values()), None)
        if denial is None:
            self.here[pbx].append(name)
        return denial.code if denial is not None else None

    async def sync(self, pbx: str, waiting: int = 0) -> wire.Answer:
        class_ = "virtual_seat" if pbx == "nice" else "seat"
        said = await self.peers[pbx].sync({class_: len(self.here[pbx]) + waiting})
        return said.decoded(wire.Answer)


@pytest.mark.timeout(120)
async def test_simulate_the_master_and_the_api_answer_the_same(tmp_path: Path) -> None:
    scenario = yaml.safe_load(SITES)
    simulated = simulate(tmp_path, SITES)
    with Master(tmp_path).init().start() as master:
        peers = {name: await join(master, name) for name in ("hq", "lyon", "nice")}
        live = Live(master, peers, {each["name"]: each["pbx"] for each in scenario["objects"]})
        codes = [await live.step(step) for step in scenario["steps"]]
        assert codes == [each["code"] for each in simulated["steps"]]
        assert len(set(codes)) >= 8
        pools = {row["pool"]: numbers(row) for row in master.ask("/pools")}
        assert pools == {name: numbers(row) for name, row in simulated["pools"].items()}
        checked = master.order("/licences/remove", {"type": "PBX-Port13", "count": 1, "dry_run": True})
        assert [row["code"] for row in checked["warnings"]] == [row["code"] for row in simulated["warnings"]]
        for peer in peers.values():
            await peer.__aexit__(None, None, None)
        upgraded = simulate(tmp_path, SITES + "  - {upgrade: 14}\n")["pools"]
        asked = json.loads(await asyncio.to_thread(master.command, "what-if", "--software", "14", "--json"))
        assert {row["pool"]: row["then"] for row in asked["pools"]} == {
            n: r["usable"] for n, r in upgraded.items()
        }
        assert {row["pool"]: numbers(row) for row in master.ask("/pools")} == pools  # it changed nothing


def numbers(row: dict[str, Any]) -> tuple[object, ...]:
    return row["installed"], row["usable"], row["used"], row["free"], row.get("surplus", 0), row.get("reason")


def test_l_v13_what_if_tells_and_changes_nothing(tmp_path: Path) -> None:
    with Master(tmp_path).init().start() as master:
        rows = "type,count\nPBX-Port11,100\nPBX-Port13,100\n"
        master.order("/licences", {"files": [{"name": "a.csv", "content": rows}]})
        now = master.ask("/what-if?software=11")["pools"]  # type: ignore[call-overload]
        assert [(row["then"], row["in_the_way"]) for row in now] == [(200, [])]
        (port,) = master.ask("/what-if?software=13")["pools"]  # type: ignore[call-overload]
        assert (port["then"], port["cleaned"]) == (0, 100)
        assert port["in_the_way"] == [{"type": "PBX-Port11", "count": 100, "place": ""}]
        output = master.command("what-if", "--software", "12", "--pbx", "lyon")
        assert re.search(r"port +200 +0 +0 +100 +0 +100 PBX-Port11", output)
        with master.api() as api:
            assert api.get("/installations/acme/what-if?software=13&pbx=lion").status_code == 404
        assert len(master.ask("/licences")) == 2
