"""A store that is served from another place than before may be a copy: it begins in recovery, once."""

import shutil
from pathlib import Path

from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master


def rewritten(path: Path) -> None:
    """The same bytes in a file made anew, as cp, rsync or a restored backup leave them."""
    fresh = path.with_name("copy")
    shutil.copy2(path, fresh)
    fresh.replace(path)


async def test_a_copied_store_lends_nothing_before_every_agent_has_answered(tmp_path: Path) -> None:
    with Master(tmp_path, installations=("acme",)).init().start() as master:
        stock(master, "PBX-Port13,10")
        hq, lyon, nice = [await join(master, name) for name in ("hq", "lyon", "nice")]
        for peer, want in ((hq, 2), (lyon, 3)):
            await peer.sync({"seat": want})
        master.stop()
        master.start()
        assert not master.logged("store.moved"), "the same file in the same place"

        master.stop()
        instance = hq.instance
        rewritten(master.ledger())
        master.start()
        assert len(master.logged("store.moved")) == len(master.logged("recovery.started")) == 1
        for peer in (hq, lyon, nice):
            await peer.move_to(master.url)
        assert (await lyon.sync({"seat": 8})).code == "hello_needed"
        await lyon.hello({"seat": 8})
        assert lyon.shares == {"seat": 3}, "what it had, and nothing new"
        assert lyon.instance != instance, "no agent takes it for the store that it is a copy of"
        for peer, want in ((hq, 2), (nice, 0), (lyon, 8)):
            await peer.hello({"seat": want})
            await peer.sync({"seat": want})
        await lyon.sync({"seat": 8})
        assert lyon.shares == {"seat": 8}
        master.stop()
        master.start()
        assert len(master.logged("store.moved")) == 1, "now it is at home here"
        for peer in (hq, lyon, nice):
            await peer.http.aclose()
    assert "unbroken" in master.command("audit", "verify")
