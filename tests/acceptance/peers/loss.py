"""A way on which every BYE is lost (nftables): who sent it believes that the call is over."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.peers.network import Network, program

RULES = """table ip lossy {{
  chain output {{
    type filter hook output priority 0
    ip saddr {sender} ip daddr {receiver} @th,64,24 0x425945 drop
  }}
}}
"""


@contextmanager
def byes_lost(network: Network, sender: str, receiver: str) -> Iterator[None]:
    """Until the block ends no datagram that begins with "BYE" gets from one address to the other."""
    rules = network.folder / "lossy.nft"
    rules.write_text(RULES.format(sender=sender, receiver=receiver))
    network.run([program("nft"), "-f", str(rules)])
    yield
    network.run([program("nft"), "delete", "table", "ip", "lossy"])
