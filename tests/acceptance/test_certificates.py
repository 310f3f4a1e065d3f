"""Certificates are checked on both sides, and the agent's log says why somebody was not let in.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip.
"""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.site import Site, Ways
from tests.authority import DAY, Authority, Files

UNKNOWN = "unable to get local issuer certificate"

pytestmark = pytest.mark.real("kamailio", "baresip")


def lines(authority: Authority, files: Files | None = None) -> str:
    """Of baresip's configuration: whom it believes, and what it shows."""
    shown = f"sip_certificate {files.both}\n" if files else ""
    return f"sip_cafile {authority.certificate}\n{shown}"


def authority(network: Network, name: str) -> Authority:
    """An authority of this name."""
    return Authority(network.folder / name, name)


def replace(certificate: Path, files: Files) -> None:
    """Put another certificate and its key in the place of this one."""
    shutil.copy(files.certificate, certificate)
    shutil.copy(files.key, certificate.with_suffix(".key"))


def refused(site: Site, why: str) -> None:
    """The agent's log says why."""
    site.agent.wait_for(why)


def test_phones_show_certificates(network: Network) -> None:
    ours, theirs, strange = (authority(network, name) for name in ("agents", "phones", "strange"))
    house = House(network, {"PBX-Port13": 5}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(("udp", "tls"), "udp", ours, phones_ca=theirs))
    known = site.phone("1001", "tls", tls=lines(ours, theirs.issue("phone")))
    assert known.register().text == "200 OK"
    for user, files, why in (
        ("1002", None, "TLS: it showed no certificate, and phones_ca wants one"),
        (
            "1003",
            theirs.issue("phone", life=-DAY),
            "TLS: its certificate is refused: certificate has expired",
        ),
        ("1004", strange.issue("phone"), f"TLS: its certificate is refused: {UNKNOWN}"),
    ):
        phone = site.phone(user, "tls", tls=lines(ours, files))
        phone.command("uanew", phone.account)  # the phone itself says nothing for long
        refused(site, why)
        phone.kill()  # it would wait for an answer before it ends
    assert site.contacts() == {"1001"}


def test_agent_and_pbx_check_each_other(network: Network) -> None:
    ours, strange = (authority(network, name) for name in ("ours", "strange"))
    house = House(network, {"PBX-Port13": 5}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(("udp", "tls"), "tls", ours))
    tls = site.registrar.tls
    assert tls is not None
    host, guard = site.registrar.host, site.guard[0]

    def show(files: Files) -> None:
        """The PBX gets another certificate, which ends its connections."""
        replace(tls.files.certificate, files)
        site.registrar.end()
        site.registrar.start()

    site.agent.reload()
    site.agent.wait_for("certificates.loaded")
    phone = site.phone("1001")
    assert phone.register().text == "200 OK"
    for files, why in (
        (ours.issue("other.example"), f"certificate is not valid for '{host}'"),
        (ours.issue(host, life=-DAY), "certificate has expired"),
        (strange.issue(host), UNKNOWN),
    ):
        show(files)
        phone.unregister()  # its REGISTER makes the agent connect
        refused(site, f'"error": "TLS: its certificate is refused: .*{why}')
    assert site.contacts() == set()
    site.agent.end()  # a new one does not wait before it tries again
    show(ours.issue(host))
    replace(network.folder / "ours" / f"{guard}.crt", strange.issue(guard))
    site.agent.start()
    phone.command("uanew", phone.account)
    refused(site, '"why": "TLS: it ended the handshake: unknown ca"')
    assert site.contacts() == set()
    phone.kill()
