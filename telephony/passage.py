"""A message on its way through the guard, as those see it who count calls."""

from telephony.address import Flow
from telephony.dialog import Call
from telephony.output import Send
from telephony.sip.message import Message


class Passage:
    """One message on its way between the PBX and `phone`, which is `outward` when it has to do with a call
    to the phone; `send` is what leaves unless somebody minds. With `stored` false nothing can be stored now.
    """

    __slots__ = ("now_ms", "outward", "phone", "send", "source", "stored")

    def __init__(
        self, send: Send, source: Flow, phone: Flow, now_ms: int, *, outward: bool, stored: bool
    ) -> None:
        self.send = send
        self.source = source
        self.phone = phone
        self.now_ms = now_ms
        self.outward = outward
        self.stored = stored


class Held:
    """An INVITE that waits for the master: what would leave, and what a refusal is made of."""

    __slots__ = ("call", "request", "send", "source")

    def __init__(self, call: Call, request: Message, send: Send, source: Flow) -> None:
        self.call = call
        self.request = request
        self.send = send
        self.source = source
