"""Single packets between phone, agent and PBX: plain sockets, agent.yaml, our command and nft."""

import contextlib
import json
import socket
from pathlib import Path

from agent.endpoint import Address
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.typed import typed

PBX, AGENT, PHONE = 5060, 5070, 5062
REGISTER, INVITE, BYE = (method + b" sip:you SIP/2.0" for method in (b"REGISTER", b"INVITE", b"BYE"))
OK = b"SIP/2.0 200 OK"
SO_NO_CHECK = 11
# A firewall that tracks connections, as most hosts have one.
TRACKING = """table inet filter {
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
  }
}
table ip other {
  chain prerouting { type nat hook prerouting priority dstnat; }
}
"""

PATIENCE_S = 2.0

Where = tuple[str, int]


def opened(ground: Network, host: str, port: int) -> socket.socket:
    """A UDP socket that waits two seconds."""
    made = ground.udp(host, port)
    made.settimeout(PATIENCE_S)
    return made


def listening(ground: Network, host: str, port: int) -> socket.socket:
    """A TCP socket that accepts connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = ground.open_socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen()
    made.settimeout(PATIENCE_S)
    return made


def write_config(network: Network, listen: list[str], pbx: Address, **more: str) -> None:
    """Write agent.yaml: where the agent of this network's PBX listens, and where the PBX is."""
    sip = {"listen": listen, "pbx": f"udp:{pbx}", **more}
    pbxs = [{"name": "hq", "software": 13, "sip": sip}]
    (network.folder / "agent.yaml").write_text(json.dumps({"data": "data", "pbxs": pbxs}))


def command(ground: Network, folder: Path, *words: str) -> str:
    """Run `pbx-agent WORDS` there, with the agent.yaml of this folder."""
    return typed(["pbx-agent", *words, "--config", str(folder / "agent.yaml")], ground)


def nft(ground: Network, text: str) -> None:
    """Load a ruleset there."""
    path = ground.folder / "rules.nft"
    path.write_text(text)
    ground.run([program("nft"), "-f", str(path)])


def received(sock: socket.socket) -> tuple[bytes, Where]:
    """The next datagram and its sender."""
    data, address = sock.recvfrom(65_535)
    return data, (address[0], address[1])


def emptied(sock: socket.socket) -> None:
    """Throw away what waits."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(65_535)
    sock.settimeout(PATIENCE_S)
