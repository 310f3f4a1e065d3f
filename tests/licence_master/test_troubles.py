"""What goes wrong at a master, at its keys and on the way to it: one line that says what to do."""

import subprocess
from pathlib import Path

import pytest

from tests.licence_master.master import PROGRAM, STARTED, Master
from tests.privileges import without_privileges

COPY = "put back your copy of "


def closed(path: Path, master: Master, *words: str) -> subprocess.CompletedProcess[str]:
    """A command by somebody whom this file or directory lets in no more."""
    mode = path.stat().st_mode
    master.prefix = without_privileges() or STARTED
    path.chmod(0)
    try:
        return master.run(*words)
    finally:
        path.chmod(mode)
        master.prefix = ()


@pytest.mark.parametrize("closed_one", ["data", "data/admin.sock"])
def test_who_may_not_ask_hears_who_may(master: Master, closed_one: str) -> None:
    said = closed(master.home / closed_one, master, "pools")
    assert said.returncode == 3
    assert said.stderr.count("\n") == 1
    assert "Permission denied; ask as root or as a member of its group" in said.stderr


@pytest.mark.parametrize("command", ["serve", "restore"])
def test_who_may_not_see_the_keys_hears_who_may(tmp_path: Path, command: str) -> None:
    master = Master(tmp_path).init()
    words = (command,) if command == "serve" else (command, str(master.ledger()))
    said = closed(master.data / "keys", master, *words)
    assert said.returncode == 2
    told = f"{master.data}/keys/master.key: Permission denied; run it as root or as its owner\n"
    assert said.stderr == told


def test_doctor_tells_a_closed_door_from_a_missing_file(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    (master.data / "ballast").touch()
    for path, check in (("data", "data"), ("data/keys", "signing key"), (str(master.ledger()), "store acme")):
        said = closed(master.home / path, master, "doctor")
        assert (said.returncode, said.stderr) == (1, "")
        row = next(line for line in said.stdout.splitlines() if f"  {check}" in line)
        assert "Permission denied; run licence-master doctor as root" in row
        assert "restore" not in row


def test_lost_keys_are_put_back_and_not_made_anew(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    keys = master.data / "keys"
    for name in ("master.key", "tls.crt"):
        kept = (keys / name).rename(tmp_path / name)
        told = (
            f"{keys / name} is not there, but {master.ledger()} is: {COPY}{keys} (see operations.md, Restore)"
        )
        said = master.run("serve")
        assert (said.returncode, told in said.stderr) == (2, True), said.stderr
        said = master.run("init")
        assert (said.returncode, told in said.stderr, said.stdout) == (1, True, "")
        assert "--new-keys" in said.stderr
        assert said.stderr.count("\n") == 1
        assert told in master.command("doctor", code=1)
        assert not (keys / name).exists()
        kept.rename(keys / name)
    (keys / "master.key").unlink()
    assert "master.key" in master.command("init", "--new-keys")
    assert "nothing was changed" in master.command("init")


def test_without_a_store_nothing_is_lost(tmp_path: Path) -> None:
    master = Master(tmp_path)
    (master.data / "keys").mkdir(parents=True)
    said = master.run("serve")
    assert (said.returncode, "run licence-master init first" in said.stderr) == (2, True)
    assert "run licence-master init" in master.command("doctor", code=1)
    assert "made" in master.command("init")


def test_a_key_that_others_may_read_is_one_line(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    key = master.data / "keys" / "master.key"
    key.chmod(0o644)
    said = master.run("serve")
    assert said.returncode == 2
    assert said.stderr == f"{key}: others may read this key (mode 0644); chmod 600 {key}\n"


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    shown = master.data / "keys" / "tls.crt"
    shown.write_text("nothing\n")
    said = master.run("serve")
    assert (said.returncode, said.stderr) == (2, f"{shown} holds no certificate in PEM form\n")


@pytest.mark.parametrize("file", ["ledger.db", "calls.db"])
def test_a_damaged_store_is_named_with_what_helps(tmp_path: Path, file: str) -> None:
    master = Master(tmp_path).init()
    path = master.ledger().with_name(file)
    path.write_bytes(b"no database at all, and long enough for a header of one " * 100)
    said = master.run("serve")
    assert said.returncode == 4
    assert said.stderr.count("\n") == 1
    assert f"{path}: file is not a database; licence-master restore FILE --installation acme" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_question_needs_no_more_of_a_configuration_than_where_the_data_lie(master: Master) -> None:
    good = master.config.read_text()
    master.config.write_text(good.replace("platform: ipva", "platform: ipvb"))
    said = master.run("pools")
    assert (said.returncode, "port" in said.stdout) == (0, True)
    assert "platform: expected gateway or ipva" in said.stderr
    assert "1 error; a master that runs goes on as it was configured before, and is asked" in said.stderr
    for bad in (good.replace("data: data", "dato: data"), good.replace("data: data", "data: [data]"), "a: ["):
        master.config.write_text(bad)
        said = master.run("pools")
        assert (said.returncode, said.stdout) == (2, "")
        assert "nothing was asked" in said.stderr


def test_another_key_another_port_and_no_pin_are_told_apart(master: Master, tmp_path: Path) -> None:
    token = tmp_path / "admin.token"
    token.write_text(master.admin_token)
    here = ("--token-file", str(token), "--url", master.admin_url)
    said = master.run("pools", *here, "--pin", "sha256:" + "0" * 64)
    assert said.returncode == 3
    assert (
        "the server shows another key than the pinned one: the server's key is " + master.pin in said.stderr
    )
    assert "serve running" not in said.stderr
    said = master.run("pools", *here, "--pin", "WRONG")
    assert (said.returncode, 'found "WRONG"; write sha256: and 64 hex digits' in said.stderr) == (2, True)
    stranger = [*PROGRAM, "pools", *here, "--config", str(tmp_path / "none.yaml")]
    done = subprocess.run(stranger, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "certificate is not trusted here: self-signed certificate; add --pin PIN" in done.stderr
    for more in ((), ("--installation", "acme")):
        said = master.run(
            "pools", "--token-file", str(token), "--url", master.url, "--pin", master.pin, *more
        )
        assert said.returncode == 1
        assert "Is this the port of the agents? --url wants that of admin.listen" in said.stderr
    said = master.run("pools", "--token-file", str(token), "--url", "https://nohost.invalid:8444")
    assert (said.returncode, "is the name in --url right?" in said.stderr) == (3, True)


def test_a_backup_makes_no_file_of_a_directory_that_is_not_there(master: Master, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    said = master.run("backup", f"{target}/")
    assert said.returncode == 2
    assert said.stderr == f"{target}/ is not there; make the directory first, or name a file\n"
    assert not target.exists()
    target.mkdir()
    master.command("backup", f"{target}/")
    assert len(list(target.glob("acme-*.db"))) == 2
    master.command("backup", str(tmp_path / "kept"))
    assert (tmp_path / "kept").is_file()


@pytest.mark.parametrize("words", [("token", "make"), ("user", "add", "anna", "--password-file", "password")])
def test_a_site_that_is_not_there_may_see_nothing(master: Master, words: tuple[str, ...]) -> None:
    password = master.home / "password"
    password.write_text("a long password of somebody\n")
    given = [str(password) if word == "password" and n else word for n, word in enumerate(words)]
    said = master.run(*given, "--role", "site:paris")
    assert said.returncode == 1
    assert 'no PBX "paris" in the configuration; there are hq, lyon, nice' in said.stderr
    master.command(*given, "--role", "site:lyon")


@pytest.mark.parametrize("more", [(), ("--hours",)])
def test_usage_of_a_pool_that_is_not_there_names_those_that_are(
    master: Master, more: tuple[str, ...]
) -> None:
    said = master.run("usage", "--pool", "prt", *more)
    assert said.returncode == 1
    assert 'no pool "prt"; there are ipva, port' in said.stderr
    master.command("usage", "--pool", "port", *more)


def test_a_recovery_waits_for_who_never_joined_and_says_so(tmp_path: Path) -> None:
    with Master(tmp_path).init() as master:
        for path in master.ledger().parent.glob("ledger.db*"):
            path.unlink()
        master.start()
        said = master.command("agents")
        assert [row["state"] for row in master.ask("/agents")] == ["awaited"] * 3
        assert "In recovery: nothing new is lent before these have answered." in said
        assert "licence-master release-site nice" in said
        master.command("release-site", "nice", "--yes")
        assert [row["state"] for row in master.ask("/agents")] == ["awaited", "awaited", "not_joined"]
