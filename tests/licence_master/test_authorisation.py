"""Every route of the running master for every kind of caller; what to expect stands in docs/security.md."""

import base64
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent.edges.local_api import LocalApi
from licence_master.config import AgentsConfig
from licence_master.edges.agent_api import agent_application
from licence_master.edges.doorkeeper import COOKIE, CSRF_HEADER
from licence_master.service.people.secret import new_secret
from runtime.clock import SystemClock
from runtime.signing import SigningKey, request_type
from runtime.tls import pinned_context
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, happened
from tests.licence_master.recorder import Recorder

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
BELOW = "/api/v1/installations/{installation}"
PASSWORD = "correct horse battery"
NO_LIMITS = ", address_per_s: 100000, caller_per_s: 100000"
ROLES = ("nobody", "site", "auditor", "operator", "admin", "master")
UNKNOWN, FORBIDDEN = 401, 403


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the document: first cell, then the others."""
    text = DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[0].replace("…", BELOW): row[1:] for row in rows}


ROUTES = table("Administrators")


@dataclass
class Caller:
    """Somebody who asks: what they send, and the role they have at installation acme (nobody: refused)."""

    name: str
    role: str
    headers: dict[str, str] = field(default_factory=dict)
    person: str = ""  # whose session it is, for a new one where this one would end
    reads_only: bool = False  # a cookie that is not meant: other methods are refused

    def may(self, route: str) -> bool:
        return bool(ROUTES[route][ROLES.index(self.role)])

    def refused(self, route: str) -> int:
        return UNKNOWN if self.role == "nobody" else FORBIDDEN


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def expired(master: Master) -> str:
    """A token that was right until a second ago."""
    secret = new_secret()
    with closing(sqlite3.connect(master.ledger())) as store, store:
        columns = "id, hash, role, label, created_ms, expires_ms"
        now = SystemClock().wall_ms()
        row = (secret.id, secret.hash, "admin", "", 0, now - 1_000)
        store.execute(f"INSERT INTO token ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
    return secret.text


@dataclass
class House:
    """A master, and everybody who might ask it."""

    master: Master
    http: httpx.Client
    callers: list[Caller]

    def signed_in(self, name: str = "anna") -> tuple[str, str]:
        """A new session: its cookie and its CSRF token."""
        order = {"installation": "acme", "name": name, "password": PASSWORD}
        said = self.http.post("/api/v1/session", json=order)
        self.http.cookies.clear()
        assert said.status_code == 200, said.text
        return said.cookies[COOKIE], said.json()["csrf_token"]

    def ask(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        answer = self.http.request(method, path, headers=headers)
        self.http.cookies.clear()
        return answer


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    master = Master(tmp_path_factory.mktemp("house"), ("acme", "other"), admin=NO_LIMITS).init(
        "acme", "other"
    )
    over = expired(master)
    with master.start():
        stock(master, "PBX-Port13,1")
        http = httpx.Client(base_url=master.admin_url, verify=pinned_context([master.pin]), timeout=60)
        with http:
            yield House(master, http, callers(master, http, over))


def callers(master: Master, http: httpx.Client, over: str) -> list[Caller]:
    def token(role: str, installation: str = "acme") -> dict[str, str]:
        return bearer(master.order("/tokens", {"role": role}, installation)["token"])

    ended = master.order("/tokens", {"role": "admin"})
    with master.api() as api:
        assert api.delete(f"/installations/acme/tokens/{ended['id']}").status_code == 200
    for name, role in (("anna", "admin"), ("otto", "auditor"), ("gone", "admin"), ("changed", "admin")):
        master.order("/users", {"name": name, "role": role, "password": PASSWORD})
    house = House(master, http, [])
    cookies = {name: house.signed_in(name) for name in ("anna", "otto", "gone", "changed")}
    out, csrf = house.signed_in("anna")
    own = {"Origin": master.admin_url, CSRF_HEADER: csrf, "Cookie": f"{COOKIE}={out}"}
    assert house.ask("DELETE", "/api/v1/session", own).status_code == 200
    with master.api() as api:
        assert api.delete("/installations/acme/users/gone").status_code == 200
    master.order("/users/changed/password", {"password": PASSWORD})

    def cookie(name: str, **more: str) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={cookies[name][0]}"} | {k.replace("_", "-"): v for k, v in more.items()}

    def full(name: str, origin: str = master.admin_url) -> dict[str, str]:
        return cookie(name, Origin=origin, X_CSRF_Token=cookies[name][1])

    signature = SigningKey.generate().sign(request_type("GET", "/"), b"")
    forged = base64.urlsafe_b64encode(b'{"alg":"none"}.{"role":"admin"}.').decode()
    return [
        Caller("nobody", "nobody"),
        Caller("bad token", "nobody", bearer("0123456789.aaaa")),
        Caller("right id, wrong secret", "nobody", bearer(f"{ended['id']}.aaaa")),
        Caller("no bearer", "nobody", {"Authorization": "Basic YWRtaW46YWRtaW4="}),
        Caller("empty bearer", "nobody", {"Authorization": "Bearer"}),
        Caller("forged", "nobody", bearer(forged)),
        Caller("expired token", "nobody", bearer(over)),
        Caller("revoked token", "nobody", bearer(ended["token"])),
        Caller("agent key", "nobody", {"X-Signature": signature}),
        Caller("Host of an open path", "nobody", {"Host": "x/healthz?"}),
        Caller("own site", "site", token("site:lyon")),
        Caller("other site", "site", token("site:hq")),
        Caller("auditor", "auditor", token("auditor")),
        Caller("operator", "operator", token("operator")),
        Caller("admin", "admin", token("admin")),
        Caller("first token", "master", bearer(master.admin_token)),
        Caller("cookie", "admin", full("anna"), "anna"),
        Caller("cookie of an auditor", "auditor", full("otto"), "otto"),
        Caller(
            "cookie without CSRF token", "admin", cookie("anna", Origin=master.admin_url), reads_only=True
        ),
        Caller(
            "cookie with a wrong one",
            "admin",
            full("anna") | {CSRF_HEADER: cookies["otto"][1]},
            reads_only=True,
        ),
        Caller("cookie from another origin", "admin", full("anna", "https://evil.example"), reads_only=True),
        Caller(
            "cookie from nowhere", "admin", cookie("anna", X_CSRF_Token=cookies["anna"][1]), reads_only=True
        ),
        Caller("cookie after signing out", "nobody", own),
        Caller("cookie of somebody removed", "nobody", full("gone")),
        Caller("cookie before the password changed", "nobody", full("changed")),
        Caller("made-up cookie", "nobody", {"Cookie": f"{COOKIE}=aaaa"}),
        Caller("cookie beside a bad token", "nobody", full("anna") | bearer("0123456789.aaaa")),
    ]


def path_of(template: str, installation: str = "acme", thing: str = "nothing") -> str:
    return re.sub(r"{(pbx|name|id)}", thing, template.replace("{installation}", installation))


def named(route: str) -> str:
    """A name without spaces for a test."""
    return route.replace(BELOW, "").replace(" ", "-")


def test_the_table_has_every_route_and_no_other(house: House) -> None:
    document = house.ask("GET", "/openapi.json", bearer(house.master.admin_token)).json()
    assert document["openapi"].startswith("3.1")
    found = {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods}
    assert found == set(ROUTES)
    sources = (Path(__file__).parents[2] / "licence_master").rglob("*.py")
    assert not [path for path in sources if "include_in_schema" in path.read_text()], "hidden from the table"


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_a_route_for_every_caller(house: House, route: str) -> None:
    method, template = route.split()
    wrong = []
    for caller in house.callers:
        headers = dict(caller.headers)
        if route == "DELETE /api/v1/session" and caller.person:
            secret, csrf = house.signed_in(caller.person)
            headers |= {"Cookie": f"{COOKIE}={secret}", CSRF_HEADER: csrf}
        answer = house.ask(method, path_of(template), headers)
        allowed, refused = caller.may(route), caller.refused(route)
        if method != "GET" and caller.reads_only and not ROUTES[route][0]:
            allowed, refused = False, FORBIDDEN
        if route == "POST /api/v1/session":  # no body: whoever may ask is told so
            allowed = answer.status_code == 422
            refused = 0
        if caller.name == "Host of an open path" and answer.status_code == 400:
            continue
        got_in = answer.status_code not in (UNKNOWN, FORBIDDEN)
        if got_in is not allowed or (not got_in and answer.status_code != refused):
            wrong.append((caller.name, answer.status_code, answer.text))
        if not answer.is_success and answer.status_code != 503:
            assert answer.headers["content-type"] == "application/problem+json", (caller.name, answer.text)
            assert answer.json()["status"] == answer.status_code
            assert answer.json()["code"]
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert wrong == []


@pytest.mark.parametrize("route", [each for each in ROUTES if "{installation}" in each], ids=named)
def test_another_installation_is_not_even_known(house: House, route: str) -> None:
    """The words are the same whether it exists or not; only the first token is told."""
    method, template = route.split()
    for caller in house.callers:
        if caller.role in ("nobody", "master"):
            continue
        texts = set()
        for installation in ("other", "nowhere"):
            answer = house.ask(method, path_of(template, installation), caller.headers)
            assert answer.status_code == FORBIDDEN, (caller.name, installation, answer.text)
            texts.add(answer.text)
        assert len(texts) == 1, caller.name
    missing = house.ask(method, path_of(template, "nowhere"), bearer(house.master.admin_token))
    assert missing.status_code in (404, 422)


def test_a_refusal_does_not_say_whether_the_thing_exists(house: House) -> None:
    master = house.master
    there = master.order("/tokens", {"role": "auditor"})["id"]
    for name in ("own site", "auditor", "operator"):
        caller = next(caller for caller in house.callers if caller.name == name)
        said = {
            house.ask("DELETE", f"/api/v1/installations/acme/{path}", caller.headers).text
            for path in (f"tokens/{there}", "tokens/nothing", "users/anna", "users/nobody")
        }
        assert len(said) == 1


async def test_a_site_sees_itself_alone(tmp_path: Path) -> None:
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-Port13,10", "PBX-IPVA13,4")
        async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
            await lyon.sync({"seat": 2}, activity=[happened(1, "201")])
            await hq.sync({"seat": 9}, activity=[happened(1, "301")])
        token = master.order("/tokens", {"role": "site:lyon"})["token"]
        context = pinned_context([master.pin])
        base = f"{master.admin_url}/api/v1/installations/acme"
        own = [route.removeprefix(f"GET {BELOW}") for route, cells in ROUTES.items() if cells[1] == "own"]
        assert len(own) == 9
        async with httpx.AsyncClient(base_url=base, verify=context, headers=bearer(token)) as client:
            for path in own[:-1]:
                assert {row["pbx"] for row in (await client.get(path)).json()} <= {"lyon"}, path
            assert (await client.get("/agents")).json()
            assert (await client.get("/why/201")).status_code == 200
            other, nothing = await client.get("/why/301"), await client.get("/why/nothing")
        assert other.status_code == nothing.status_code == 404
        assert other.text == nothing.text.replace("nothing", "301")


# --- the agents' port, and the agent's socket


def test_a_stranger_at_the_agents_port_hears_what_the_page_says(master: Master) -> None:
    known = {"agent": "lyon", "installation": "acme"}
    requests = {
        404: ("GET", "/foo", {}),
        405: ("GET", "/v1/agent/hello", {}),
        422: ("POST", "/v1/agent/hello", {}),
        401: ("GET", "/v1/agent/wake", known),
    }
    with httpx.Client(base_url=master.url, verify=pinned_context([master.pin])) as client:
        said = {
            client.request(method, path, params=asked).status_code
            for method, path, asked in requests.values()
        }
        assert client.get("/v1/agent/wake", params={**known, "installation": "x"}).status_code == 404
        assert client.get("/v1/agent/wake", params=known).json()["code"] == "unknown_agent"
    assert said == set(requests)
    page = DOCUMENT.read_text().partition("## Administrators")[0]
    assert all(str(status) in page for status in requests)


async def test_the_agents_port_for_every_key(tmp_path: Path) -> None:
    rows = table("Agents")
    routes = agent_application({}, AgentsConfig(), SystemClock()).routes
    found = {f"{m} {r.path}" for r in routes for m in r.methods if m != "HEAD"}  # type: ignore[attr-defined]
    assert found == set(rows)
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-Port13,10")
        async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
            await lyon.sync({"seat": 1})
            for route, cells in rows.items():
                method, path = route.split()
                yes = [bool(cell) for cell in cells]
                if route.endswith("/enrol"):
                    yes[0] = False  # nobody here has an invitation
                if route.endswith("/wake"):
                    path += "?agent=lyon&installation=acme"
                attempts = {
                    "nobody": (yes[0], await asked(lyon, method, path, {})),
                    "own key": (yes[1], await asked(lyon, method, path, key=lyon.key)),
                    "another agent's key": (yes[2], await asked(lyon, method, path, key=hq.key)),
                    "a key nobody knows": (
                        yes[0],
                        await asked(lyon, method, path, key=SigningKey.generate()),
                    ),
                    "another way to sign": (
                        yes[0],
                        await asked(lyon, method, path, {"X-Signature": "none;"}),
                    ),
                    "the first token": (yes[0], await asked(lyon, method, path, bearer(master.admin_token))),
                }
                for who, (expected, status) in attempts.items():
                    assert (status not in (UNKNOWN, FORBIDDEN)) is expected, (route, who, status)
            master.order("/agents/lyon/revoke", {})
            for path in ("/v1/agent/sync", "/v1/agent/hello", "/v1/agent/bye", "/v1/agent/cdrs"):
                assert await asked(lyon, "POST", path, key=lyon.key) == FORBIDDEN


async def asked(
    peer: Peer, method: str, path: str, headers: dict[str, str] | None = None, key: SigningKey | None = None
) -> int:
    """The status of a well-formed message of this agent, signed by a key or with other headers instead."""
    if path.endswith("/enrol"):
        public = base64.b64encode(peer.key.public).decode()
        body = (
            b'{"v":1,"token":"0123456789.aaaa","public_key":"%b","software":{"release":13}}' % public.encode()
        )
    elif path.endswith(("/sync", "/hello")):
        peer.seq += 1
        body = peer.sync_body({})
    elif path.endswith("/bye"):
        peer.seq += 1
        body = httpx.Request("POST", "http://x", json=peer.fields()).content
    elif path.endswith("/cdrs"):
        body = msgspec.json.encode(Recorder(peer).batch())
    else:
        body = b""
    given = {"X-Signature": key.sign(request_type(method, path), body)} if key else headers or {}
    try:
        async with peer.client() as http:
            answer = await http.request(method, path, content=body, headers=given, timeout=2)
    except httpx.ReadTimeout:  # the long poll: it was let in
        return 200
    if answer.status_code == 200 and path.endswith(("/sync", "/hello", "/bye")):
        peer.prev = answer.json()["nonce"]
        peer.epoch = answer.json()["epoch"]
    return answer.status_code


def test_the_agents_socket_has_these_routes() -> None:
    """Who may open it is a matter of modes: tests/acceptance/test_hardened.py."""
    made: Callable[..., Any] = LocalApi
    routes = made({}, None, None).app().routes
    assert {route.path for route in routes} == set(table("Sockets"))
