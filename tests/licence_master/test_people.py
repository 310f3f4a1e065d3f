"""People: passwords that are slow to guess, sessions that end, and the commands that make them."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from licence_master.edges.doorkeeper import COOKIE
from licence_master.service.people import passwords, sessions
from licence_master.service.people.passwords import Busy, Failures, Passwords
from licence_master.service.people.sessions import Sessions
from runtime.tls import pinned_context
from tests.licence_master.master import PROGRAM, Master

PASSWORD = "correct horse battery"
SESSION = "/api/v1/session"


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with Master(tmp_path).init().start() as made:
        yield made


def outside(master: Master, address: str = "127.0.0.1") -> httpx.Client:
    transport = httpx.HTTPTransport(verify=pinned_context([master.pin]), local_address=address)
    return httpx.Client(base_url=master.admin_url, transport=transport, timeout=60)


def sign_in(http: httpx.Client, name: str = "anna", password: str = PASSWORD) -> httpx.Response:
    return http.post(SESSION, json={"name": name, "password": password})


def stored(master: Master, name: str = "anna") -> str:
    with closing(sqlite3.connect(master.ledger())) as store:
        ((text,),) = store.execute("SELECT password FROM person WHERE name = ?", (name,))
    return str(text)


def test_the_life_of_a_user_by_commands(master: Master, tmp_path: Path) -> None:
    word = tmp_path / "password"
    word.write_text(f"{PASSWORD}\n")
    master.command("user", "add", "anna", "--role", "operator", "--password-file", str(word))
    assert (
        "name_taken"
        in master.run("user", "add", "anna", "--role", "admin", "--password-file", str(word)).stderr
    )
    with outside(master) as http:
        said = sign_in(http)
        assert said.status_code == 200
        cookie = said.headers["set-cookie"]
        for words in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=28800"):
            assert words in cookie, cookie
        assert "Domain" not in cookie
        assert http.get(SESSION).json()["role"] == "operator"
        row = next(line for line in master.command("user", "list").splitlines() if line.startswith("anna"))
        assert row.split()[1] == "operator"
        assert len([cell for cell in row.split() if cell.endswith("Z")]) == 3, "when it last signed in too"
        word.write_text("another horse battery\n")
        master.command("user", "password", "anna", "--password-file", str(word))
        assert http.get(SESSION).status_code == 401, "its sessions have ended"
        assert sign_in(http).json()["code"] == "sign_in_failed"
        assert sign_in(http, password="another horse battery").status_code == 200
        master.command("user", "remove", "anna")
        assert http.get(SESSION).status_code == 401
        assert sign_in(http, password="another horse battery").json()["code"] == "sign_in_failed"
    assert master.run("user", "remove", "anna").returncode == 1
    wrong = master.run("user", "add", "Otto", "--role", "boss", "--password-file", str(word))
    assert "role: expected admin, operator, auditor or site:NAME" in wrong.stderr
    assert "name: expected at most 63 small letters" in wrong.stderr
    word.write_text("short\n")
    assert (
        "12 characters"
        in master.run("user", "add", "otto", "--role", "admin", "--password-file", str(word)).stderr
    )


async def test_a_password_is_asked_for_and_seen_by_nobody(master: Master) -> None:
    command = [*PROGRAM, "user", "add", "anna", "--role", "admin", "--config", str(master.config)]
    asked = await asyncio.create_subprocess_exec(
        *command, stdin=-1, stdout=-1, stderr=-1, start_new_session=True
    )
    out, error = await asked.communicate(f"{PASSWORD}\n{PASSWORD}\n".encode())
    assert asked.returncode == 0, error
    assert PASSWORD not in (out + error).decode()
    text = stored(master)
    assert text.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in str(master.lines)


def test_tokens_tell_when_they_were_last_used(master: Master) -> None:
    made = master.order("/tokens", {"role": "auditor", "label": "grafana"})
    assert master.ask("/tokens")[0]["used_ms"] is None
    with outside(master) as http:
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert http.get("/api/v1/installations", headers=headers).status_code == 200
    (row,) = master.ask("/tokens")
    assert row["used_ms"] >= row["created_ms"]
    assert "LAST USED" in master.command("token", "list")
    with closing(sqlite3.connect(master.ledger())) as store:
        ((kept, hash_),) = store.execute("SELECT used_ms, hash FROM token")
    assert kept == row["used_ms"]
    assert made["token"].encode() not in hash_


def test_who_guesses_waits(master: Master) -> None:
    """Per account, from wherever; and per address, whatever the name."""
    for name in ("anna", "otto"):
        master.order("/users", {"name": name, "role": "admin", "password": PASSWORD})
    with outside(master) as one, outside(master, "127.0.0.2") as other:
        wrong = [sign_in(one, password="wrong horse battery") for _ in range(5)]
        assert {said.json()["code"] for said in wrong} == {"sign_in_failed"}
        for said in (sign_in(one), sign_in(one, "otto"), sign_in(other)):
            assert (said.status_code, said.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(said.headers["Retry-After"]) <= 2
        assert sign_in(other, "otto").status_code == 200
        unknown = sign_in(other, "nobody")
    assert unknown.json() == wrong[0].json(), "whether there is such a name is not told"


async def test_many_guesses_at_once_are_no_more_guesses(master: Master) -> None:
    """Else each of them would be looked at before the first had failed."""
    master.order("/users", {"name": "anna", "role": "admin", "password": PASSWORD})
    context = pinned_context([master.pin])
    order = {"name": "anna", "password": "wrong horse battery"}
    async with httpx.AsyncClient(base_url=master.admin_url, verify=context, timeout=60) as http:
        said = await asyncio.gather(*(http.post(SESSION, json=order) for _ in range(20)))
    codes = [answer.json()["code"] for answer in said]
    assert codes.count("sign_in_failed") == passwords.FREE_FAILURES
    assert codes.count("rate_limited") == 20 - passwords.FREE_FAILURES


def test_a_hash_with_other_parameters_is_made_anew(tmp_path: Path) -> None:
    old = Argon2id(salt=b"a" * 16, length=32, iterations=1, lanes=1, memory_cost=1_024)
    with Master(tmp_path).init().start() as master:
        master.order("/users", {"name": "anna", "role": "admin", "password": PASSWORD})
        master.stop()
        with closing(sqlite3.connect(master.ledger())) as store, store:
            store.execute("UPDATE person SET password = ?", (old.derive_phc_encoded(PASSWORD.encode()),))
        master.start()
        with outside(master) as http:
            assert sign_in(http, password="wrong horse battery").status_code == 401
            assert stored(master).startswith("$argon2id$v=19$m=1024,")
            assert sign_in(http).status_code == 200
            assert stored(master).startswith(passwords.PARAMETERS)
            assert sign_in(http).status_code == 200


def test_another_site_cannot_sign_somebody_in(master: Master) -> None:
    master.order("/users", {"name": "anna", "role": "admin", "password": PASSWORD})
    with outside(master) as http:
        http.headers["Origin"] = "https://evil.example"
        assert sign_in(http).status_code == 403
        http.headers["Origin"] = master.admin_url
        assert sign_in(http).status_code == 200


def test_the_console_behind_a_proxy_has_another_origin(tmp_path: Path) -> None:
    origins = ', origins: ["https://licences.example.com"]'
    with Master(tmp_path, admin=origins).init().start() as master, outside(master) as http:
        master.order("/users", {"name": "anna", "role": "admin", "password": PASSWORD})
        http.headers["Origin"] = "https://licences.example.com"
        http.headers["X-CSRF-Token"] = sign_in(http).json()["csrf_token"]
        assert http.delete(SESSION).status_code == 200


async def test_few_passwords_are_looked_at_at_once() -> None:
    work = Passwords()
    hashed = await asyncio.gather(*(work.hash(PASSWORD) for _ in range(30)), return_exceptions=True)
    refused = [each for each in hashed if isinstance(each, Busy)]
    assert len(refused) == 30 - passwords.MAX_WAITING
    assert passwords.AT_ONCE == 2
    assert work._turns._value == passwords.AT_ONCE


def test_the_wait_grows_ends_and_is_bounded() -> None:
    failures = Failures()
    waits = []
    for number in range(30):
        now = number * 600_000
        failures.count("anna", now)
        waits.append(failures.wait_ms("anna", now))
    assert waits[:8] == [0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000]
    assert waits[-1] == passwords.LONGEST_DELAY_MS
    assert failures.wait_ms("anna", 29 * 600_000 + passwords.FORGOTTEN_MS) == 0
    failures.forget("anna")
    for _ in range(passwords.FREE_FAILURES):
        failures.count("anna", 0)
    failures.forgive("anna")
    assert failures.wait_ms("anna", 0) == 0
    for number in range(2 * passwords.MAX_SUSPECTS):
        failures.count(f"name {number}", 0)
    assert len(failures._seen) == passwords.MAX_SUSPECTS


def test_a_session_ends_idle_and_old_and_by_number() -> None:
    held = Sessions()
    secret = held.begin("acme", "anna", 1, now_ms=0)
    for now in range(0, sessions.LIFETIME_MS, sessions.IDLE_MS - 1):
        assert held.find(secret, now) is not None
    assert held.find(secret, sessions.LIFETIME_MS) is None
    idle = held.begin("acme", "anna", 1, now_ms=0)
    assert held.find(idle, sessions.IDLE_MS) is None
    assert secret not in str(vars(held))
    own = [held.begin("acme", "anna", 1, now_ms=0) for _ in range(sessions.MAX_OF_ONE + 1)]
    assert [held.find(each, 1) is not None for each in own] == [False] + [True] * sessions.MAX_OF_ONE
    for number in range(2 * sessions.MAX_SESSIONS):
        held.begin("acme", f"user {number}", 1, now_ms=2)
    assert len(held._sessions) == sessions.MAX_SESSIONS
