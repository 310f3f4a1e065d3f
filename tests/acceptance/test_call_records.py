"""A call record on its whole way: a growing file, pbx-agent, licence-master, and an export on either side."""

import json

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.asked import run
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.agent.cdr.calls import line

pytestmark = pytest.mark.real("kamailio")

CALLS = 2_500


def test_both_sides_export_the_same_records(network: Network) -> None:
    """More than two batches, and a line that nobody can read: it waits in quarantine at the master."""
    house = House(network, {"PBX-Port13": 4}, {"hq": "gateway"}, sync_s=1).build()
    file = network.folder / "Custom.csv"
    file.write_bytes(b"".join(line(number) for number in range(CALLS)) + b"rubbish\n")
    source = {"name": "file", "dialect": "asterisk_custom", "file": str(file)}
    site = house.site("hq", cdrs={"sources": [source]})
    until(lambda: house.get("calls/quarantine"), 30, "the last line, after all others, is at the master")
    until(lambda: site.told()["cdrs"]["waiting"] == 0, what="the agent has heard so")

    there, here = network.folder / "master.csv", network.folder / "agent.csv"
    month = ["--from", "2026-11", "--to", "2026-11"]
    house.command("cdr", "export", *month, "--output", str(there))
    config = str(site.agent.folder / "agent.yaml")
    run("pbx-agent", "cdr", "export", *month, "--output", str(here), "--config", config)
    head, *rows = there.read_text().splitlines()
    assert sorted(rows) == sorted(here.read_text().splitlines()[1:])
    assert (len(rows), len(set(rows)), head.startswith("source,call_ref,leg,")) == (CALLS, CALLS, True)
    (unread,) = json.loads(house.command("cdr", "quarantine", "--json"))
    assert unread["source"] == "acme/hq/file"
