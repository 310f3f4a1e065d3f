"""What one input of the fuzzer does to a guard: a short play of messages, and what must hold throughout.

An input is a list of steps separated by RS (0x1e). The first byte of a step says who speaks, the rest is
what arrives; `$A` and `$B` in it stand for the flow tokens of two phones, which nobody could guess. What
comes by a stream (`c`) is also read byte by byte: the same units must come out.
"""

from telephony.address import Flow
from telephony.output import Output, Send
from telephony.sip.contact import read_contacts
from telephony.sip.message import scan
from telephony.sip.stream import Framer
from telephony.sip.validate import validate
from tests.telephony.scene import ANNA, BERT, NO_UNIT, PBX, Scene

STRANGER = Flow(0, "203.0.113.66", 6666)
CARL = Flow(0, "198.51.100.9", 40003, connection=7)
STEP = b"\x1e"
SPEAKERS = {ord("a"): ANNA, ord("b"): BERT, ord("s"): STRANGER, ord("p"): PBX}
ANSWERS = {ord("2"): 200, ord("1"): 183, ord("4"): 401, ord("5"): 503}
WAIT, REFUSE, STREAM = ord("w"), ord("r"), ord("c")
STEPS_LIMIT = 12
COPIED = frozenset((b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq", b"record-route"))


def play(data: bytes) -> None:
    """Play one input on a new guard; AssertionError when something broke that must hold."""
    stage = Stage()
    for step in data.split(STEP)[:STEPS_LIMIT]:
        if step:
            stage.take(step[0], step[1:])
    stage.end()


class Stage:
    """One guard, and what the PBX was sent last."""

    def __init__(self) -> None:
        self.scene = Scene(units=1, waits=True)
        self._asked = Send(PBX, b"")
        # The PBX, the phones whose tokens are known, and whoever has spoken.
        self._reachable = {PBX, ANNA, BERT}
        self._tokens = {b"$A": self.scene.tokens.make(ANNA), b"$B": self.scene.tokens.make(BERT)}

    def take(self, who: int, text: bytes) -> None:
        """One step; bytes that name nobody are for nobody."""
        scene = self.scene
        if who == WAIT:
            scene.at(scene.now + 10_000)
        elif who == REFUSE:
            for name in sorted(scene.verdict.waiting):
                scene.verdict.waiting.discard(name)
                self._check(scene.guard.settle(name, NO_UNIT, scene.now), PBX)
        elif who in ANSWERS and self._asked.data:
            self._hear(reply(self._asked.data, ANSWERS[who], text), self._asked.flow)
        else:
            for written, token in self._tokens.items():
                text = text.replace(written, token)
            if who in SPEAKERS:
                self._hear(text, SPEAKERS[who])
            elif who == STREAM:
                self._hear_stream(text)

    def end(self) -> None:
        """Wait until all is over; nothing may be left."""
        while (due := self.scene.guard.next_timer()) is not None:
            assert due >= self.scene.now, "time never goes back"
            self.scene.at(due)
        assert self.scene.guard.snapshot() == ()

    def _hear(self, data: bytes, source: Flow) -> None:
        read(data)
        self._reachable.add(source)
        self._check(self.scene.receive(data, source), source)
        self._check(self.scene.guard.relay(data, source, self.scene.now) or [], source)

    def _hear_stream(self, data: bytes) -> None:
        self.scene.guard.opened(CARL)
        self._reachable.add(CARL)
        whole, single = Framer(), Framer()
        units = frame(whole, [data])
        assert frame(single, [data[at : at + 1] for at in range(len(data))]) == units
        assert (whole.broken, whole.mid_message) == (single.broken, single.mid_message)
        for unit in units:
            self._hear(unit, CARL)
        if whole.broken is not None:
            self._check(self.scene.guard.broken(whole.broken, CARL), CARL)
        self.scene.guard.closed(CARL)

    def _check(self, outputs: list[Output], source: Flow) -> None:
        for output in outputs:
            if isinstance(output, Send):
                assert output.flow in self._reachable, output
                if output.flow != source:
                    self._asked = output


def frame(framer: Framer, pieces: list[bytes]) -> list[bytes]:
    """Everything that is whole after these pieces."""
    units: list[bytes] = []
    for piece in pieces:
        framer.feed(piece)
        while (unit := framer.take()) is not None:
            units.append(unit)
    return units


def reply(asked: bytes, status: int, headers: bytes) -> bytes:
    """What the asked one answers: the fields of the request as it came, then headers of the fuzzer."""
    lines = asked.partition(b"\r\n\r\n")[0].split(b"\r\n")
    copied = [line for line in lines if line.partition(b":")[0].strip().lower() in COPIED]
    return b"\r\n".join([b"SIP/2.0 %d Whatever" % status, *copied, headers or b"X: y", b"l: 0", b"", b""])


def read(data: bytes) -> None:
    """The scanner and the strict reading alone: untouched bytes stay, what is sound has contacts to read."""
    message = scan(data)
    if message is not None:
        assert message.build({}) in data
        if validate(message) == []:
            assert read_contacts(message) is not None
