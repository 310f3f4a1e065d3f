"""licence-file as a person types it; nothing but files, so the commands run in this process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from licence_file.cli import app

COMMANDS = ("keygen", "issue", "show", "verify", "revoke")
ROW = "200 PBX-Port13"


@dataclass
class Desk:
    """A folder with keys, and the commands typed in it."""

    folder: Path

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(app, [self._place(word) for word in words])

    def done(self, *words: str) -> str:
        result = self.type(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def told(self, *words: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.done(*words, "--json"))
        return answer

    def path(self, name: str) -> Path:
        return self.folder / name

    def issue(self, name: str, *words: str) -> Path:
        self.done("issue", name, ROW, "--key", "sales.key", "--anywhere", *words)
        return self.path(name)

    def _place(self, word: str) -> str:
        return str(self.folder / word) if "." in word and " " not in word and ":" not in word else word


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.done("keygen", "root.key")
    made.done("keygen", "sales.key", "--issuer", "Example GmbH", "--root-key", "root.key")
    return made


def root(desk: Desk, name: str = "other.key") -> str:
    public: str = desk.told("keygen", name)["public"]
    return public


def test_keys_are_private_and_never_written_over(desk: Desk) -> None:
    assert desk.path("root.key").stat().st_mode & 0o777 == 0o600
    before = desk.path("root.key").read_bytes()
    again = desk.type("keygen", "root.key")
    assert again.exit_code == 1
    assert "never written over" in again.stderr
    assert desk.path("root.key").read_bytes() == before
    desk.path("root.key").chmod(0o644)
    open_key = desk.type("keygen", "b.key", "--issuer", "B", "--root-key", "root.key")
    assert open_key.exit_code == 2
    assert "chmod 600" in open_key.stderr


def test_a_file_is_issued_shown_verified_superseded_and_revoked(desk: Desk, tmp_path: Path) -> None:
    public = desk.told("keygen", "r2.key")["public"]
    desk.done("keygen", "s2.key", "--issuer", "Second", "--root-key", "r2.key")
    words = ("--key", "s2.key", "--mac", "00:90:33:01:02:03", "--from", "2027-01-01", "--until", "2027-12-31")
    desk.done(
        "issue", "1.licence", ROW, "4 Relay-Channels at lyon mac 0090330a0b0c", *words, "--issue-no", "1"
    )
    shown = desk.type("show", "1.licence")
    for text in ("Second", "200", "Relay-Channels", "lyon", "00-90-33-0a-0b-0c", "2027-01-01 00:00:00Z"):
        assert text in shown.stdout
    assert "2028-01-01 00:00:00Z" in shown.stdout, "the last day counts to its end"
    assert "Nothing was checked" in shown.stderr
    assert "every signature fits" in desk.done("verify", "1.licence", "--root", public)
    assert "a voucher for Second" in desk.done("verify", "s2.issuer", "--root", public)

    made = desk.told("issue", "2.licence", ROW, "--key", "s2.key", "--anywhere", "--supersedes", "1.licence")
    assert made["issue_no"] == 2
    blocks = json.loads(desk.done("show", "2.licence", "--json"))["blocks"]
    first_id = json.loads(desk.done("show", "1.licence", "--json"))["blocks"][1]["id"]
    assert blocks[1]["says"]["supersedes"] == [first_id]

    desk.done("revoke", "1.revocations", "--root-key", "r2.key", "--file", "1.licence")
    assert "revocation list 1" in desk.done("verify", "1.revocations", "--root", public)
    key_id = blocks[1]["signed_by"]
    more = ("--previous", "1.revocations", "--key-id", key_id)
    listed = desk.told("revoke", "2.revocations", "--root-key", "r2.key", *more)
    assert (listed["number"], listed["keys"], listed["files"]) == (2, [key_id], [first_id])
    for name, list_, code in (
        ("1.licence", "1.revocations", "file_revoked"),
        ("2.licence", "2.revocations", "key_revoked"),
    ):
        said = desk.type("verify", name, "--root", public, "--revocations", list_)
        assert (said.exit_code, code in said.stderr) == (1, True)
    assert desk.type("verify", "2.licence", "--root", public, "--revocations", "1.revocations").exit_code == 0
    assert "number" in desk.done("show", "2.revocations")


def test_a_root_vouches_for_a_key_made_elsewhere(desk: Desk) -> None:
    public = desk.told("keygen", "away.key")["public"]
    words = ("--public", public, "--issuer", "Away", "--root-key", "root.key")
    desk.done("keygen", "away.issuer", *words)
    assert desk.path("away.issuer").read_text().startswith("-----BEGIN PBX LICENCE ISSUER-----")
    desk.done("issue", "1.licence", ROW, "--key", "away.key", "--issue-no", "1", "--anywhere")
    wrong = desk.type(
        "issue", "2.licence", ROW, "--key", "sales.key", "--voucher", "away.issuer", "--anywhere"
    )
    assert wrong.exit_code == 2
    assert "about another key" in wrong.stderr


def test_verify_tells_a_stranger_from_a_changed_file(desk: Desk) -> None:
    file = desk.issue("1.licence", "--issue-no", "1")
    stranger = desk.type("verify", "1.licence", "--root", root(desk))
    assert (stranger.exit_code, "key_untrusted" in stranger.stderr) == (1, True)
    desk.path("short.licence").write_bytes(file.read_bytes()[:-30])
    short = desk.type("verify", "short.licence", "--root", root(desk, "third.key"))
    assert (short.exit_code, "file_malformed" in short.stderr) == (4, True)
    assert desk.type("show", "short.licence").exit_code == 4
    assert desk.type("show", "missing.licence").exit_code == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("issue", "a.licence", ROW, "--key", "sales.key", "--issue-no", "1"), "--anywhere"),
        (("issue", "a.licence", ROW, "--key", "sales.key", "--anywhere"), "--issue-no"),
        (("issue", "a.licence", "x PBX-Port13"), "write it like"),
        (("issue", "a.licence", "0 PBX-Port13"), "write it like"),
        (("issue", "a.licence", "5 PBX-Prt13"), "PBX-Prt13"),
        (("issue", "a.licence", "5 PBX-Port13 mac 12"), "no MAC address"),
        (("issue", "a.licence", ROW, "--mac", "zz"), "no MAC address"),
        (("issue", "a.licence", ROW, "--until", "31.12.2027"), "2027-01-31"),
        (("issue", "a.licence", ROW, "--master", "xyz"), "what you asked for"),
        (("issue", "a.licence", ROW, "--project", ""), "what you asked for"),
        (("keygen", "a.key", "--issuer", "A"), "--root-key"),
        (("keygen", "a.key", "--public", "ed25519:AAAA"), "--root-key"),
        (("keygen", "a.key", "--public", "x", "--issuer", "A", "--root-key", "root.key"), "ed25519:<base64>"),
        (("revoke", "a.revocations", "--root-key", "root.key"), "--key-id"),
        (("revoke", "a.revocations", "--root-key", "root.key", "--id", "12"), "what you asked for"),
        (("revoke", "a.revocations", "--root-key", "none.key", "--id", "0" * 64), "No such file"),
        (("verify", "root.key", "--root", "rsa:x"), "no kind of key"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    desk: Desk, words: tuple[str, ...], complaint: str
) -> None:
    if words[0] == "issue" and "--key" not in words:
        words = (*words, "--key", "sales.key", "--issue-no", "1", "--anywhere")
    before = set(desk.folder.iterdir())
    said = desk.type(*words)
    assert said.exit_code == 2, said.output
    assert complaint in said.stderr
    assert set(desk.folder.iterdir()) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert f"Example: licence-file {command}" in " ".join(said.stdout.split())
