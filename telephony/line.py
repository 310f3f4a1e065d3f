"""Which ISDN line a call goes over: by the AOR of the trunk, by the number that was called, or by both.

SIP does not tell BRI1 from BRI2, so the administrator says it (agent.yaml `calls.lines`). A gateway is known
by what is registered over its flow; one that never registers by its From.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from telephony.address import Flow, read_aor
from telephony.binding import Bindings, Registration
from telephony.directory import Directory, Pattern, compiled
from telephony.sip import message as sip
from telephony.sip.message import Message

_SEPARATORS: Final = re.compile(r"[-.() ]")


class LineRow(NamedTuple):
    """One row of `calls.lines`: AOR patterns, patterns of called numbers (none: all), the interface or ""."""

    aors: tuple[str, ...]
    called: tuple[str, ...] = ()
    interface: str = ""


class Line(NamedTuple):
    """What a call is counted at: the gateway or trunk object, and the interface, "" where nobody names it."""

    gateway: str
    interface: str


class _Row(NamedTuple):
    aors: list[Pattern]
    called: list[Pattern]
    interface: str

    def serves(self, aor: str) -> bool:
        return any(pattern.fits(aor) for pattern in self.aors)

    def leads_to(self, numbers: Sequence[str]) -> bool:
        return not self.called or any(
            pattern.expression.fullmatch(number) for pattern in self.called for number in numbers
        )


class Lines:
    """The rows of one PBX; the first that fits a call names its line."""

    def __init__(self, rows: Sequence[LineRow], directory: Directory) -> None:
        self._directory = directory
        self._rows = [
            _Row([*map(compiled, row.aors)], [*map(compiled, row.called)], row.interface) for row in rows
        ]

    def serve(self, aor: str) -> bool:
        """Whether calls of this AOR may go over a line: its flow is then worth knowing."""
        return any(row.serves(aor) for row in self._rows)

    def of_request(self, request: Message, flow: Flow, bindings: Bindings, *, outward: bool) -> Line | None:
        """The line of a call that begins with this INVITE, to the flow of a gateway (outward) or from it."""
        found = bindings.at(flow)
        if outward:
            wanted = request.uri.decode("utf-8", "backslashreplace")
            named = [one for one in found if any(each.contact == wanted for each in one.bindings)]
        else:
            aor = self._aor_of(request, sip.FROM)
            named = [one for one in found if one.aor == aor]
        return self._line(named or found, request, (_number(request.uri), *self._to(request)), outward)

    def of_answer(self, response: Message, flow: Flow, bindings: Bindings, *, outward: bool) -> Line | None:
        """The line of a call that nobody knew of, by an answer within it."""
        return self._line(bindings.at(flow), response, self._to(response), outward)

    def _line(
        self, found: list[Registration], message: Message, numbers: tuple[str, ...], outward: bool
    ) -> Line | None:
        objects = [(one.aor, one.name) for one in found]
        if not objects and not outward:
            subject = self._subject(message)
            objects = [] if subject is None else [subject]
        for row in self._rows:
            if row.leads_to(numbers):
                for aor, name in objects:
                    if row.serves(aor):
                        return Line(name, row.interface)
        return None

    def _subject(self, message: Message) -> tuple[str, str] | None:
        address = message.address(sip.FROM)
        subject = None if address is None else self._directory.find(address.uri)
        return None if subject is None else (subject.aor, subject.name)

    def _aor_of(self, message: Message, name: bytes) -> str:
        address = message.address(name)
        aor = None if address is None else read_aor(address.uri)
        return "" if aor is None else str(aor)

    def _to(self, message: Message) -> tuple[str, ...]:
        address = message.address(sip.TO)
        return () if address is None else (_number(address.uri),)


def _number(uri: bytes) -> str:
    """The number in a URI, without the separators of RFC 3966 and without parameters."""
    aor = read_aor(uri)
    return "" if aor is None else _SEPARATORS.sub("", aor.user.partition(";")[0])
