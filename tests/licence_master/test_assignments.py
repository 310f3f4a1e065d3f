"""Assignments in a real master: by command, API, file and configuration, and what people are told."""

import json
import re
import signal
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licence_master.config import MasterConfig
from licence_master.service import assignment_file
from licence_master.service.assignments import check
from licensing.named.assigning import fit_name, read
from licensing.named.assignment import Assignment
from runtime.config import ConfigErrors, parse
from runtime.tls import pinned_context
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master, Row
from tests.licensing.house import CATALOGUE

ODD = ("201", 'it\'s [bold], "really"', "=1+1", "äöü ß", "yes", "#1", "a: b", "null", "{x}", "a\\tb", "1;2")
DOCUMENT = Path(__file__).parents[2] / "docs" / "assignments.md"
HEAD = "object,pbx,kind,licence,uses\n"


def state(master: Master, installation: str = "acme") -> list[tuple[str, str, str]]:
    """Who, what, and how it stands."""
    rows = master.ask("/assignments", installation)
    return [(row["object"], row["licence"], row["code"] or row["state"]) for row in rows]


def row(object_: str, licence: str, **more: object) -> Row:
    return {"object": object_, "licence": licence, **more}


def test_an_administrator_assigns_by_command_and_is_told_who_waits_and_why(tmp_path: Path) -> None:
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-UC13,1", "PBX-Fax13,1", "PBX-VoicemailUser13,1")
        said = master.command("assign", "anna", "uc", "--pbx", "hq")
        assert "1 assigned, 0 ended" in said
        assert "Licensed now:" in said
        master.order("/assignments", {"rows": [row("bert", "Fax13", pbx="lyon")]})
        said = master.command("assign", "carl", "fax", "--pbx", "lyon")
        assert "Waits for one:" in said
        assert "not_licensed" in said
        assert "the only Fax at the master taken" in said
        assert "What helps: Install more Fax" in said
        queue = row("q1", "reporting", pbx="hq", kind="waiting_queue")
        master.order("/assignments", {"rows": [queue]})
        said = master.command("assign", "anna", "fax")
        assert "Needs no unit:" in said
        assert json.loads(master.command("assignments", "--waiting", "--json"))[0]["object"] == "carl"
        why = master.command("why", "anna")
        for part in ("Voicemail App", "group_chat", "Premium Chat App is not assigned to anna at hq", "cti"):
            assert part in why, why
        (used,) = (pool for pool in master.ask("/pools") if pool["pool"] == "fax")
        assert (used["installed"], used["lent"], used["used"], used["free"]) == (1, 0, 1, 0)
        tried = master.order("/assignments/remove", row("bert", "fax", dry_run=True))
        assert [each["object"] for each in tried["gained"]] == ["carl"]
        assert "Licensed by this, waited before:" in master.command("unassign", "bert", "--all")
        assert state(master) == [
            ("anna", "uc", "licensed"),
            ("carl", "fax", "licensed"),
            ("q1", "reporting", "not_licensed"),
            ("anna", "fax", "included"),
        ]
        refused = master.run("assign", "dora", "fax")
        assert refused.returncode == 1
        assert "which PBX does dora belong to? There are hq, lyon, nice" in refused.stderr
        assert master.run("unassign", "anna").returncode == 2
        master.kill()
        master.start()
        assert [each[2] for each in state(master)] == ["licensed", "licensed", "not_licensed", "included"]


async def test_what_is_taken_from_under_someone_is_one_list_and_agents_learn_nothing(tmp_path: Path) -> None:
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-Fax13,2", "PBX-App(phone)12,1", "PBX-Port13,5")
        rows = [row("u1", "fax", pbx="hq"), row("u2", "fax", pbx="hq"), row("u3", "fax", pbx="hq")]
        report = master.order("/assignments", {"rows": rows})
        assert [each["object"] for each in report["gained"]] == ["u1", "u2"]
        assert [each["code"] for each in report["assigned"]] == [None, None, "not_licensed"]
        tried = master.command("remove", "PBX-Fax13", "1", "--dry-run")
        assert "1 assignments lose their unit:" in tried
        assert "u2" in tried
        order = {"type": "PBX-Fax13", "count": 2, "dry_run": False}
        removed = master.order("/licences/remove", order)
        assert [(each["object"], each["code"]) for each in removed["lost"]] == [
            ("u1", "not_licensed"),
            ("u2", "not_licensed"),
        ]
        master.wait_for("assignments.lost", 1)
        (told,) = master.logged("assignments.lost")
        assert told["lost"] == ["u1 at hq: fax (not_licensed)", "u2 at hq: fax (not_licensed)"]
        async with await join(master, "lyon") as lyon:
            lyon.software = 12
            await lyon.sync({"seat": 1})
            users = [row(f"v{n}", "app-phone", pbx="lyon") for n in (1, 2)]
            master.order("/assignments", {"rows": users})
            assert state(master)[3:] == [
                ("v1", "app-phone", "licensed"),
                ("v2", "app-phone", "not_licensed"),
            ]
            assert lyon.last is not None
            assert b"phone" not in lyon.last.body
            lyon.software = 13
            await lyon.sync({"seat": 1})
            assert lyon.shares == {"seat": 1}
            assert b"phone" not in lyon.last.body
            assert [each[2] for each in state(master)[3:]] == ["licence_version_too_low"] * 2
            master.wait_for("assignments.lost", 2)


def test_a_file_goes_in_and_comes_out_byte_for_byte(tmp_path: Path) -> None:
    with Master(tmp_path, ("acme", "other")).init("acme", "other").start() as master:
        here, there = ("--installation", "acme"), ("--installation", "other")
        stock(master, "PBX-Fax13,3")
        wishes = [row(name, "fax", pbx="hq") for name in ODD]
        wishes += [row("q,1", "reporting", kind="waiting_queue", pbx="lyon")]
        wishes += [row("201", "video", pbx="hq", uses=["external_videophone", "third_party_application"])]
        master.order("/assignments", {"rows": wishes})
        for option in ("csv", "yaml"):
            file = tmp_path / f"out.{option}"
            file.write_bytes(master.command("assignments", f"--{option}", *here).encode())
            order = {"file": {"name": file.name, "content": file.read_text()}, "dry_run": True}
            assert len(master.order("/assignments", order, "other")["assigned"]) == len(wishes)
            assert master.ask("/assignments", "other") == []
            master.command("assign", "--file", str(file), *there)
            with master.api() as api:
                written = api.get("/installations/other/assignments/file", params={"format": option})
            assert written.content == file.read_bytes()
            again = master.order("/assignments", order | {"replace": True}, "other")
            assert (again["assigned"], again["ended"]) == ([], [])
            master.order("/assignments", {"file": _none(), "replace": True}, "other")
            assert master.ask("/assignments", "other") == []
        bad = tmp_path / "bad.csv"
        bad.write_text(f"{HEAD}u1,hq,user,fax,\nu2,mars,user,fax,\nu3,hq,lamp,prot,\nu1,hq,,Fax13,\n")
        said = master.run("assign", "--file", str(bad), *there)
        assert said.returncode == 1
        for part in (
            "bad.csv:3:1: pbx: no PBX mars",
            "bad.csv:4:1: licence:",
            "bad.csv:5:1: licence: fax is",
        ):
            assert part in said.stderr
        assert master.ask("/assignments", "other") == []


def _none() -> Row:
    return {"name": "none.csv", "content": HEAD}


def test_the_configuration_names_a_file_that_alone_decides(tmp_path: Path) -> None:
    master = Master(tmp_path)
    text = master.config.read_text()
    users = tmp_path / "users.csv"
    master.config.write_text(text.replace("software: 13\n", "software: 13\n    assignments: users.csv\n"))
    assert "users.csv:1:1: cannot be read" in master.run("check-config").stderr
    users.write_text("object;licence;pbx\nanna;uc;hq\nbert;fax;mars\nbert;fax;lyon\n")
    said = master.run("check-config")
    assert said.returncode == 2
    assert "users.csv:3:1: pbx: no PBX mars in the configuration" in said.stderr
    users.write_text("object;licence;pbx\nanna;uc;hq\nbert;fax;lyon\n")
    assert "fine" in master.command("check-config")
    with master.init().start():
        assert [each[:2] for each in state(master)] == [("anna", "uc"), ("bert", "fax")]
        stock(master, "PBX-Fax13,1")
        for path, order in (
            ("/assignments", {"rows": [row("x", "fax", pbx="hq")]}),
            ("/assignments/remove", row("bert", "fax")),
        ):
            assert master.order(path, order, status=409)["code"] == "configured"
        users.write_text("object;licence;pbx\ndora;fax;lyon\nbert;fax;lyon\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.reloaded", 1)
        assert state(master) == [("bert", "fax", "licensed"), ("dora", "fax", "not_licensed")]
        users.write_text("object;licence;pbx\ndora;faxx;lyon\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.refused", 1)
        assert "users.csv:2:1: licence:" in str(master.logged("configuration.refused")[0]["errors"])
        assert len(state(master)) == 2
        master.config.write_text(text)
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.reloaded", 2)
        master.order("/assignments/remove", {"object": "bert"})
        assert state(master) == [("dora", "fax", "licensed")]


def test_a_site_sees_its_own_assignments(tmp_path: Path) -> None:
    with Master(tmp_path).init().start() as master:
        master.order("/assignments", {"rows": [row("u1", "fax", pbx="hq"), row("u2", "fax", pbx="lyon")]})
        token = master.order("/tokens", {"role": "site:lyon"})["token"]
        base = "/api/v1/installations/acme"
        with httpx.Client(
            base_url=master.admin_url,
            verify=pinned_context([master.pin]),
            headers={"Authorization": f"Bearer {token}"},
        ) as client:
            assert [each["object"] for each in client.get(f"{base}/assignments").json()] == ["u2"]
            assert client.get(f"{base}/why/u2").json()["rights"][0]["pbx"] == "lyon"
            assert client.get(f"{base}/why/u1").status_code == 404
            assert client.get(f"{base}/assignments/file").status_code == 403
        with master.api() as api:
            for order in ({}, {"rows": [row("u", "fax", pbx="hq")], "file": _none()}):
                assert api.post("/installations/acme/assignments", json=order).status_code == 422


names = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=20)).filter(fit_name)
kinds_and_licences = st.sampled_from(
    [
        ("user", "video", ("external_videophone",)),
        ("user", "uc", ()),
        ("executive", "fax", ()),
        ("trunk", "reporting", ()),
        ("conference", "recording", ()),
    ]
)


@given(st.lists(st.tuples(names, kinds_and_licences), max_size=8, unique_by=lambda each: each[0]))
def test_whatever_is_written_is_read_and_written_the_same(
    some: list[tuple[str, tuple[str, str, tuple[str, ...]]]],
) -> None:
    rows = [Assignment(name, licence, "hq", kind, uses) for name, (kind, licence, uses) in some]
    for name, write in (("a.csv", assignment_file.as_csv), ("a.yaml", assignment_file.as_yaml)):
        text = write(rows)
        file = assignment_file.read(name, text.encode())
        assert read(CATALOGUE, file.rows, ["hq"], {}) == (rows or [])
        assert len(file.places) == len(rows)
        assert write(rows) == text


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("x.csv", b"", "x.csv:1:1:"),
        ("x.csv", b"object\nu1\n", "x.csv:1:1:"),
        ("x.csv", b"object,licence\nu1,fax,more\n", "x.csv:2:1:"),
        ("x.csv", b'object,licence\n"u1,fax\n', "x.csv:"),
        ("x.csv", b"object,licence\n\xff,fax\n", "x.csv:2:1:"),
        ("x.csv", b" " * 1_048_577, "x.csv:1:1:"),
        ("x.yaml", b"assignments:\n  - {object: 201, licence: fax}\n", "x.yaml:2:14:"),
        ("x.yaml", b"assignments:\n  - {object: u1, licence: fax, pbxx: hq}\n", "x.yaml:2:32:"),
        ("x.yaml", b"assigments: []\n", "x.yaml:1:1:"),
    ],
)
def test_a_bad_file_names_its_line(name: str, content: bytes, place: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        assignment_file.read(name, content)
    assert str(caught.value.errors[0]).startswith(place), str(caught.value)


def test_a_row_that_does_not_fit_is_named_with_line_and_column_of_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "assignments:\n  - {object: u1, licence: fax, pbx: hq}\n  - {object: u2, licence: port}\n"
    )
    config = parse(Master(tmp_path).config.read_text(), str(tmp_path / "master.yaml"), MasterConfig)
    named = config.installations[0].model_copy(update={"assignments": tmp_path / "a.yaml"})
    with pytest.raises(ConfigErrors) as caught:
        check(named, CATALOGUE)
    (error,) = caught.value.errors
    assert (error.line, error.column, error.path) == (3, 5, "licence")
    assert "taken otherwise" in error.message


def test_the_files_of_the_documentation_are_read() -> None:
    blocks = re.findall(r"```(csv|yaml)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for suffix, text in blocks:
        rows = read(CATALOGUE, assignment_file.read(f"a.{suffix}", text.encode()).rows, ["hq"], {})
        assert isinstance(rows, list)
        assert getattr(assignment_file, f"as_{suffix}")(rows) == text
