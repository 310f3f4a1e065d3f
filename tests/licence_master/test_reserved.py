"""`reserve` of master.yaml: read strictly, followed at a reload, seen in the pools and in a refusal."""

import signal

import pytest

from licence_master.config import PbxConfig
from licence_master.service.configured import pbx
from runtime.config import ConfigErrors, parse
from tests.licence_master.conftest import join
from tests.licence_master.master import Master


def test_reserve_is_read_strictly() -> None:
    read = parse("name: lyon\nreserve: {port: 2, ipva: 1}\n", "master.yaml", PbxConfig)
    assert pbx(read).reserve == (("port", 2), ("ipva", 1))
    for wrong in ("{prot: 2}", "{relay-channel: 1}", "{port: 0}", "{port: many}"):
        with pytest.raises(ConfigErrors, match=r"master\.yaml:2:"):
            parse(f"name: lyon\nreserve: {wrong}\n", "master.yaml", PbxConfig)


async def test_a_reload_keeps_units_for_a_site(master: Master) -> None:
    text = master.config.read_text()
    master.config.write_text(text.replace("{name: lyon, ", "{name: lyon, reserve: {port: 4}, "))
    master.send_signal(signal.SIGHUP)
    master.wait_for("configuration.reloaded", 1)
    (port,) = [row for row in master.ask("/pools") if row["pool"] == "port"]
    assert (port["free"], port["kept"]) == (10, 4)
    async with await join(master, "hq") as hq, await join(master, "lyon") as lyon:
        await hq.sync({"seat": 8})
        denial = hq.answer().denials["seat"]
        assert (denial.code, denial.granted) == ("reserved", 6)
        assert "4 for lyon" in denial.hint
        await lyon.sync({"seat": 4})
        assert lyon.shares == {"seat": 4}
    (told,) = master.ask("/denials")
    assert told["helps"] == ["2 more of port, installed or freed"]
