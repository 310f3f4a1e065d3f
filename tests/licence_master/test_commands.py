"""The command line against a real master, as a person types it."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from licence_master.cli import app
from tests.licence_master.conftest import join
from tests.licence_master.master import PROGRAM, Master
from tests.licence_master.peer import happened

HEADS = {
    "assignments": "NO OBJECT PBX KIND LICENCE STATE BY WHY",
    "licences": "NO PROJECT TYPE COUNT PLACE MAC POOL FROM UNTIL",
    "pools": "POOL INSTALLED USABLE LENT USED FREE KEPT SURPLUS REASON",
    "shares": "PBX CLASS GRANTED USED RESERVED IDLE SURPLUS STRANDED STATE LAST SYNC",
    "agents": "PBX ROLE PLATFORM STATE SOFTWARE EPOCH KEY LAST SYNC",
    "holders": "OBJECT PBX CLASS STATE SINCE LEAVES",
    "denials": "LAST TIMES PBX OBJECTS CLASS CODE ASKED GRANTED USED CAPACITY HELD BY ONE FREES",
    "history": "SEQ WHEN ACTOR EVENT FACTS",
}
FILES = ("init", "serve", "check-config", "doctor", "audit verify")
ORDERS = (
    "usage",
    "assign",
    "unassign",
    "invite",
    "revoke",
    "confirm-site",
    "release-site",
    "install",
    "remove",
)
TOKENS = (
    "usage",
    "token make",
    "token list",
    "token end",
    "user add",
    "user password",
    "user remove",
    "user list",
)


async def test_a_day_in_the_life_of_an_administrator(tmp_path: Path) -> None:
    with Master(tmp_path) as master:
        assert "init" in master.run("serve").stderr
        said = master.command("init", "--installation", "acme")
        assert "Copy" in said
        assert "keys" in said
        assert "nothing was changed" in master.command("init")
        assert (master.data / "keys" / "admin.token").stat().st_mode & 0o777 == 0o600
        assert (master.data / "keys" / "master.key").stat().st_mode & 0o777 == 0o600
        unreachable = master.run("pools")
        assert unreachable.returncode == 3
        assert "licence-master serve" in unreachable.stderr
        master.start()
        inventory = tmp_path / "acme.csv"
        inventory.write_text("type,count,place\nPBX-Port13,3,\nPBX-Port13%500,1,\n")
        tried = master.run("install", str(inventory), "--dry-run")
        assert "Nothing was changed" in tried.stdout
        assert "need 500" in tried.stderr
        assert master.ask("/licences") == []
        master.command("install", str(inventory))
        assert "already_installed" in master.command("install", str(inventory))
        assert sum(row["count"] for row in master.ask("/licences")) == 4
        master.command("remove", "PBX-Port13%500", "1")
        async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
            await lyon.sync({"seat": 3}, activity=[happened(1, "201"), happened(2, "it's [bold]")])
            await hq.sync({"seat": 1}, activity=[happened(1, "301", "refused")])
        master.order("/assignments", {"rows": [{"object": "201", "licence": "uc", "pbx": "lyon"}]})
        for command, head in HEADS.items():
            lines = master.command(command).splitlines()
            assert lines[0].split() == head.split()
            assert len(lines) > 1, command
            assert isinstance(json.loads(master.command(command, "--json")), list)
        assert "lyon 3 port" in master.command("denials")
        assert "201 holds seat at lyon." in master.command("why", "201")
        assert "it's [bold] holds seat" in master.command("why", "it's [bold]")
        why = master.command("why", "301")
        assert "No free licence (no_free_licence)" in why
        assert "What helps: " in why
        assert "unknown_object" in master.run("why", "nobody").stderr
        assert "FAIL" not in master.command("doctor")
        master.command("release-site", "lyon", "--yes")
        assert master.ask("/shares") == []
        master.command("revoke", "lyon")
        assert ["lyon", "revoked"] in [[row["pbx"], row["state"]] for row in master.ask("/agents")]
        assert "unbroken" in master.command("audit", "verify")


@pytest.mark.parametrize("command", [*HEADS, "why", "usage", *FILES, *ORDERS, *TOKENS])
def test_help_shows_an_example(command: str) -> None:
    said = CliRunner().invoke(app, [*command.split(), "--help"])
    text = " ".join(said.stdout.split())
    assert said.exit_code == 0
    assert f"Example: licence-master {command}" in text


@pytest.mark.parametrize(
    ("command", "own"),
    [("pools", {"asking", "client", "ways"}), ("serve", {"files"}), ("doctor", {"doctor"})],
)
def test_a_command_starts_without_the_modules_of_others(command: str, own: set[str]) -> None:
    program = (*PROGRAM[:1], "-v", *PROGRAM[1:])
    said = subprocess.run([*program, command, "--help"], capture_output=True, text=True, check=True).stderr
    loaded = set(re.findall(r"^import '([\w.]+)'", said, re.MULTILINE))
    modules = {name.rpartition(".")[2] for name in loaded if name.startswith("licence_master.cli.")}
    assert modules == {"commands", "options", *own}
    assert "fastapi" not in loaded, "half of what a start would take"


def test_an_inventory_with_errors_installs_nothing(master: Master, tmp_path: Path) -> None:
    before = master.ask("/licences")
    bad = tmp_path / "bad.csv"
    bad.write_text("type,count\nPBX-Port13,many\nPBX-Port13,1\n,2\n")
    said = master.run("install", str(bad))
    assert said.returncode == 4
    assert "bad.csv:2:1: count: expected a whole number" in said.stderr
    assert "bad.csv:4:1: type: expected a licence type" in said.stderr
    mixed = tmp_path / "mixed.yaml"
    mixed.write_text("licences:\n  - {type: PBX-Port13, count: 1}\n  - {type: PBX-Prot13, count: 1}\n")
    said = master.run("install", str(mixed))
    assert said.returncode == 1
    assert "invalid_type" in said.stderr
    assert "PBX-Port13" in said.stderr
    assert master.ask("/licences") == before


def test_a_bad_configuration_names_every_error_at_once(tmp_path: Path) -> None:
    master = Master(tmp_path)
    master.config.write_text(
        """data: data
installations:
  - name: acme
    software: "13"
    pbxs:
      - {name: hq, role: slave, mac: 10:20:30:40:50:10}
      - {name: hq, platfrom: ipva}
"""
    )
    said = master.run("check-config")
    assert said.returncode == 2
    assert "4:15: installations[0].software: expected a whole number" in said.stderr
    assert 'write "10-20-30-40-50-10"' in said.stderr
    assert 'did you mean "platform"?' in said.stderr
    assert master.run("serve").returncode == 2


async def test_commands_work_from_another_host(master: Master, tmp_path: Path) -> None:
    token = tmp_path / "auditor.token"
    token.write_text(master.command("token", "make", "--role", "auditor", "--label", "test"))
    remote = ("--url", master.admin_url, "--token-file", str(token), "--pin", master.pin)
    assert "port" in master.command("pools", *remote)
    said = master.run("invite", "--pbx", "lyon", *remote)
    assert said.returncode == 1
    assert "forbidden" in said.stderr
    wrong = ("--url", master.admin_url, "--token-file", str(token), "--pin", "sha256:" + "0" * 64)
    assert master.run("pools", *wrong).returncode == 3
