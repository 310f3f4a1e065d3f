"""The admin API from outside: every route for every caller, what a site sees, metrics."""

import re
from pathlib import Path

import httpx

from runtime.tls import pinned_context
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import happened


def outside(master: Master, token: str = "") -> httpx.Client:
    """A client of the admin port, as from another host."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    context = pinned_context([master.pin])
    return httpx.Client(base_url=master.admin_url, verify=context, headers=headers, timeout=60)


# Every route of the admin API, and the least role that may use it.
ROUTES = {
    "GET /api/v1/installations": "site",
    "GET /api/v1/installations/{installation}/licences": "auditor",
    "GET /api/v1/installations/{installation}/pools": "auditor",
    "GET /api/v1/installations/{installation}/shares": "site",
    "GET /api/v1/installations/{installation}/agents": "site",
    "GET /api/v1/installations/{installation}/holders": "site",
    "GET /api/v1/installations/{installation}/denials": "site",
    "GET /api/v1/installations/{installation}/events": "site",
    "GET /api/v1/installations/{installation}/why/{name}": "site",
    "GET /api/v1/installations/{installation}/history": "auditor",
    "POST /api/v1/installations/{installation}/licences": "operator",
    "POST /api/v1/installations/{installation}/licences/remove": "operator",
    "POST /api/v1/installations/{installation}/invites": "operator",
    "POST /api/v1/installations/{installation}/agents/{pbx}/revoke": "operator",
    "POST /api/v1/installations/{installation}/agents/{pbx}/confirm": "operator",
    "POST /api/v1/installations/{installation}/agents/{pbx}/release-site": "operator",
    "GET /api/v1/installations/{installation}/tokens": "admin",
    "POST /api/v1/installations/{installation}/tokens": "admin",
    "DELETE /api/v1/installations/{installation}/tokens/{id}": "admin",
}
ROLES = ("site", "auditor", "operator", "admin")


def test_every_admin_route_for_every_caller(tmp_path: Path) -> None:
    with Master(tmp_path, ("acme", "other")).init("acme", "other").start() as master:
        stock(master, "PBX-Port13,1")
        tokens = {
            role: master.order("/tokens", {"role": "site:lyon" if role == "site" else role})["token"]
            for role in ROLES
        }
        foreign = master.order("/tokens", {"role": "admin"}, "other")["token"]
        ended = master.order("/tokens", {"role": "admin"})
        with master.api() as api:
            assert api.delete(f"/installations/acme/tokens/{ended['id']}").status_code == 200
        with outside(master) as client:

            def status(method: str, path: str, token: str | None) -> int:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                response = client.request(method, path, headers=headers)
                if not response.is_success:
                    assert response.headers["content-type"] == "application/problem+json"
                    assert response.json()["code"]
                return response.status_code

            first = {"Authorization": f"Bearer {master.admin_token}"}
            schema = client.get("/openapi.json", headers=first).json()
            assert schema["openapi"].startswith("3.1")
            found = {f"{m.upper()} {path}" for path, methods in schema["paths"].items() for m in methods}
            assert found == set(ROUTES)
            for route, least in ROUTES.items():
                method, template = route.split()
                path = re.sub(r"{(pbx|name|id)}", "lyon", template).replace("{installation}", "acme")
                assert status(method, path, None) == 401, route
                assert status(method, path, tokens["admin"] + "x") == 401, route
                assert status(method, path, ended["token"]) == 401, route
                for role in ROLES:
                    expected = ROLES.index(role) >= ROLES.index(least)
                    assert (status(method, path, tokens[role]) not in (401, 403)) is expected, (route, role)
                if "{installation}" in template:
                    assert status(method, path, foreign) == 403, route
                    elsewhere = path.replace("acme", "nowhere")
                    assert status(method, elsewhere, tokens["admin"]) == 403, route
                    assert status(method, elsewhere, master.admin_token) == 404 or method != "GET", route
            for path, code in {"/healthz": 200, "/readyz": 200, "/metrics": 401, "/docs": 404}.items():
                assert status("GET", path, None) == code, path
            assert status("GET", "/metrics", tokens["auditor"]) == 403
            assert status("GET", "/metrics", master.admin_token) == 200


async def test_a_site_sees_itself_alone(master: Master) -> None:
    async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
        await lyon.sync({"seat": 2}, activity=[happened(1, "201")])
        await hq.sync({"seat": 9}, activity=[happened(1, "301")])
    token = master.order("/tokens", {"role": "site:lyon"})["token"]
    base = "/api/v1/installations/acme"
    with outside(master, token) as client:
        for path in ("/shares", "/agents", "/holders", "/denials", "/events"):
            assert {row["pbx"] for row in client.get(base + path).json()} <= {"lyon"}, path
        assert client.get(f"{base}/why/201").status_code == 200
        assert client.get(f"{base}/why/301").status_code == 404


async def test_metrics_tell_pools_shares_denials_and_commits(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 12})
        await lyon.again()
    with outside(master, master.admin_token) as client:
        text = client.get("/metrics").text
    for line in (
        'licence_pool_units{installation="acme",of="usable",pool="port"} 10.0',
        'licence_share_units{class="seat",installation="acme",of="granted",pbx="lyon"} 10.0',
        'licence_denials_total{code="no_free_licence",installation="acme"} 1.0',
        'licence_requests_total{installation="acme",path="/v1/agent/sync"} 2.0',
        'licence_repeats_total{installation="acme"} 1.0',
    ):
        assert line in text, line
    assert 'licence_commit_seconds_bucket{installation="acme",le="+Inf"}' in text
