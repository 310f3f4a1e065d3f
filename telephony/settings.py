"""What one guard is told at its start: its PBX, its own addresses, its limits."""

from dataclasses import dataclass, field
from typing import Final

from telephony.address import Flow
from telephony.line import LineRow

# Transports over connections; over `udp` a message may be lost or repeated (RFC 3261 18).
RELIABLE: Final = frozenset(("tcp", "tls", "ws", "wss"))


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket of the guard: its transport as in a Via, and the host:port it advertises there."""

    transport: str
    advertise: str

    @property
    def reliable(self) -> bool:
        """Whether nothing sent by it is lost while its connection stands."""
        return self.transport in RELIABLE


@dataclass(frozen=True, slots=True)
class Settings:
    """The guard of one PBX.

    `pbx` is where the PBX is, by which of `listeners` (counted from 0); `agent` names us in Warning headers;
    `emergency` are numbers that always pass, with the trunk prefix where one is dialled; `nat_keep_alive_s`
    is how often phones behind a NAT get a keep-alive (0: never). `supported_path`: the PBX takes a Path only
    from phones that say that they know Path, so the guard says it beside its own (RFC 3327 5.3).
    `authenticated`: whoever asks has checked the credentials, so nothing is left to be challenged.
    Calls over `lines` are counted (None: none is, and none was); one that shows no sign of life for
    `call_age_s` is over.
    """

    pbx: Flow
    listeners: tuple[Listener, ...]
    agent: str
    emergency: frozenset[str] = field(default_factory=frozenset)
    transaction_limit: int = 10_000
    overload_retry_s: int = 5
    nat_keep_alive_s: int = 0
    supported_path: bool = False
    authenticated: bool = False
    lines: tuple[LineRow, ...] | None = None
    call_age_s: int = 43_200

    def is_pbx(self, flow: Flow) -> bool:
        """Whether the PBX speaks by this flow.

        Over UDP it is known by address and port. Of connections those count that we opened to it (connection
        0), and those it opened from its own host to the listener that its Paths name.
        """
        pbx = self.pbx
        return flow == pbx or (
            flow.connection != 0 and flow.listener == pbx.listener and flow.host == pbx.host
        )

    def reliable(self, flow: Flow) -> bool:
        """Whether this flow is a connection."""
        return self.listeners[flow.listener].reliable
