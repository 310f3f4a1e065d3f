"""A real Kamailio accounts a call by syslog over UDP: its INVITE and its BYE are one record at the master."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.peers.kamailio import CORE, MODULES, Kamailio
from tests.acceptance.peers.network import Loopback
from tests.agent.cdr.calls import bound, until
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import ScriptedPbx, free_port

pytestmark = pytest.mark.real("kamailio")

LOOPBACK = Loopback()

# log_custom speaks to a syslog server without one on this host. acc_extra is as docs/call-records.md has it.
ACCOUNTING = """loadmodule "acc.so"
loadmodule "log_custom.so"
modparam("acc","log_flag",1)
modparam("acc","log_level",1)
modparam("acc","log_extra","src_user=$fU;dst_user=$rU")
request_route {{
  if (is_method("OPTIONS")) {{ sl_send_reply("200","OK"); exit; }}
  setflag(1);
  $du = "sip:{host}:{port}";
  t_relay();
}}
"""
REQUEST = """{method} sip:0611223344@{host} SIP/2.0\r
Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{method}\r
From: <sip:201@{host}>;tag=a\r
To: <sip:0611223344@{host}>{tag}\r
Call-ID: one@{host}\r
CSeq: {number} {method}\r
Contact: <sip:201@{host}:{port}>\r
Max-Forwards: 5\r
Content-Length: 0\r
\r
"""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An agent in this process, before a master of a few lines."""
    directory = tmp_path / "master"
    directory.mkdir()
    pbx = await ScriptedPbx.open()
    async with ScriptedMaster(directory).serving() as master:
        house = House(tmp_path / "data", master, pbx)
        house.enrol()
        yield house
    pbx.close()


def answered(
    caller: socket.socket, callee: socket.socket, to: tuple[str, int], method: str, tag: str
) -> None:
    """The caller asks, over this Kamailio, and the callee says 200."""
    host, port = caller.getsockname()
    number = ("INVITE", "BYE").index(method) + 1
    caller.sendto(REQUEST.format(method=method, host=host, port=port, number=number, tag=tag).encode(), to)
    request, _ = callee.recvfrom(4_096)
    head = [
        line for line in request.decode().splitlines() if line.startswith(("Via", "From", "Call-ID", "CSeq"))
    ]
    said = ["SIP/2.0 200 OK", *head, f"To: <sip:0611223344@{to[0]}>;tag=b", "Content-Length: 0", "", ""]
    callee.sendto("\r\n".join(said).encode(), to)
    while not caller.recv(4_096).startswith(b"SIP/2.0 200"):
        pass


async def test_a_call_is_one_record(house: House, tmp_path: Path) -> None:
    port = free_port()
    here = (f"127.79.{os.getpid() >> 8 & 255}.{os.getpid() & 255}", 5060)
    house.cdrs = {
        "sources": [
            {
                "name": "acc",
                "dialect": "kamailio_log",
                "syslog": f"udp:127.0.0.1:{port}",
                "allow": ["127.0.0.0/8"],
            }
        ]
    }
    with LOOPBACK.udp(here[0]) as caller, LOOPBACK.udp(here[0]) as callee:
        for phone in (caller, callee):
            phone.settimeout(5)
        host, sip_port = callee.getsockname()
        text = CORE.format(workers=1, host=here[0], port=here[1], modules=MODULES)
        to_syslog = f'log_stderror=no\nlog_engine_type="udp"\nlog_engine_data="127.0.0.1:{port}"'
        text = text.replace("log_stderror=yes", to_syslog) + ACCOUNTING.format(host=host, port=sip_port)
        async with house.running():
            await until(lambda: bound(port))
            with Kamailio(tmp_path / "kamailio", LOOPBACK, here, text, logs_here=False):
                answered(caller, callee, here, "INVITE", "")
                answered(caller, callee, here, "BYE", ";tag=b")
                await house.master.until_records(lambda: bool(house.master.records()))
    (record,) = house.master.records()
    assert (record.caller, record.called, record.direction) == ("201", "0611223344", "out")
    assert house.master.unread() == []
