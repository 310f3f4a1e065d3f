"""What one guard is told at its start: its PBX, its own addresses, its limits."""

from dataclasses import dataclass, field

from telephony.address import Flow


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket of the guard: its transport as in a Via, and the host:port it advertises there."""

    transport: str
    advertise: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The guard of one PBX.

    `pbx` is where the PBX is, by which of `listeners` (counted from 0); `agent` names us in Warning headers;
    `emergency` are numbers that always pass, with the trunk prefix where one is dialled.
    """

    pbx: Flow
    listeners: tuple[Listener, ...]
    agent: str
    emergency: frozenset[str] = field(default_factory=frozenset)
    transaction_limit: int = 10_000
    overload_retry_s: int = 5
