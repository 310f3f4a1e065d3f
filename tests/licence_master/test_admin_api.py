"""The admin API from outside: every route for every caller, what a site sees, metrics."""

import httpx

from runtime.tls import pinned_context
from tests.licence_master.conftest import join
from tests.licence_master.master import Master


def outside(master: Master, token: str = "") -> httpx.Client:
    """A client of the admin port, as from another host."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    context = pinned_context([master.pin])
    return httpx.Client(base_url=master.admin_url, verify=context, headers=headers, timeout=60)


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
