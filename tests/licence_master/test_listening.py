"""Where a master listens, and what it shows there: check-config finds what serve could not start with."""

from pathlib import Path

import pytest

from licence_master.config import MasterConfig
from runtime.config import ConfigErrors, parse
from tests.licence_master.master import Master

SITES = "installations: [{name: acme, software: 13, pbxs: [{name: hq, role: master}]}]\n"


def errors(text: str) -> list[str]:
    """What is wrong with a master.yaml of these keys."""
    try:
        parse(f"{text}\n{SITES}", "master.yaml", MasterConfig)
    except ConfigErrors as found:
        return [f"{error.path}: {error.message}" for error in found.errors]
    return []


@pytest.mark.parametrize(
    "text", ["8443", "0.0.0.0", "a b:1", "[::1:8443", "[192.0.2.1]:8443", ":8443", "::1:8443"]
)
def test_a_place_to_listen_is_host_and_port(text: str) -> None:
    told = f'found "{text}"; write HOST:PORT, for example 0.0.0.0:8443 or [::]:8443'
    assert errors(f'agents: {{listen: "{text}"}}') == [f"agents.listen: {told}"]


def test_a_port_has_an_end() -> None:
    said = ['admin.listen: found "127.0.0.1:99999"; a port is at most 65535']
    assert errors('admin: {listen: "127.0.0.1:99999"}') == said
    assert errors('admin: {listen: "127.0.0.1:65535"}') == []


@pytest.mark.parametrize(
    ("agents", "admin"),
    [
        ("0.0.0.0:8443", "0.0.0.0:8443"),
        ("0.0.0.0:8443", "127.0.0.1:8443"),
        ("192.0.2.1:8443", "[::]:8443"),
        ("[2001:db8::1]:8443", "[2001:DB8:0::1]:8443"),
        ("localhost:8443", "127.0.0.1:8443"),
        ("Master.example:8443", "master.example:8443"),
    ],
)
def test_agents_and_administrators_come_by_different_doors(agents: str, admin: str) -> None:
    said = errors(f'agents: {{listen: "{agents}"}}\nadmin: {{listen: "{admin}"}}')
    told = f'found "{admin}", which is taken by agents.listen ({agents}); write another port'
    assert said == [f"admin.listen: {told}"]


def test_a_door_may_collide_with_one_that_is_not_written() -> None:
    told = 'found "0.0.0.0:8444", which is taken by admin.listen (127.0.0.1:8444); write another port'
    assert errors('agents: {listen: "0.0.0.0:8444"}') == [f"agents.listen: {told}"]


@pytest.mark.parametrize(
    ("agents", "admin"),
    [
        ("0.0.0.0:8443", "0.0.0.0:8444"),
        ("127.0.0.1:8443", "192.0.2.1:8443"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ],
)
def test_other_doors_may_stand_side_by_side(agents: str, admin: str) -> None:
    assert errors(f'agents: {{listen: "{agents}"}}\nadmin: {{listen: "{admin}"}}') == []


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_certificate_that_is_not_there_is_named_with_its_key(tmp_path: Path, command: str) -> None:
    master = Master(tmp_path).init()
    written = master.config.read_text()
    for tls, key in (
        ("certificate: gone.crt", "certificate"),
        ("certificate: gone.crt, key: no.key", "certificate"),
    ):
        master.config.write_text(f"{written}tls: {{{tls}}}\n")
        said = master.run(command)
        assert said.returncode == 2, said.stderr
        assert f"tls.{key}: {tmp_path}/gone.crt cannot be read: No such file or directory" in said.stderr
    mixed = "tls: {certificate: data/keys/tls.crt, key: data/keys/master.key}\n"
    master.config.write_text(written + mixed)
    said = master.run(command)
    assert (said.returncode, "tls.key: " in said.stderr) == (2, True), said.stderr
    assert "is not the key of" in said.stderr


def test_a_proxys_certificate_needs_no_key(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    master.config.write_text(master.config.read_text() + "tls: {certificate: data/keys/tls.crt}\n")
    assert "fine" in master.command("check-config")


def test_a_name_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    text = master.config.read_text()
    master.config.write_text(
        text.replace('admin: {listen: "127.0.0.1:0"', 'admin: {listen: "nohost.invalid:8444"')
    )
    said = master.run("serve")
    assert said.returncode == 1
    assert "nohost.invalid:8444: " in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stderr.count("\n") == 1
