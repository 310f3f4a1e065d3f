"""Streams of the messages of RFC 4475: split at every byte they give the same messages."""

from telephony.sip.message import scan
from telephony.sip.stream import KEEP_ALIVE, Framer
from tests.telephony.rfc4475.messages import MESSAGES
from tests.telephony.scene import register
from tests.telephony.test_stream import units
from tests.telephony.test_validate import OK, PHONE

# They end a stream: there is no Content-Length, or there are two.
ENDLESS = {"inv2543": "Content-Length is missing", "mcl01": "Content-Length stands there twice"}


def whole_messages() -> list[bytes]:
    """What `scan` reads of the 49, each without the noise behind its body, and what phones say."""
    read = {name: scan(data) for name, data in MESSAGES.items() if name not in ENDLESS}
    folded = PHONE.replace(b"Content-Length: 0", b"Content-Length:\r\n 3") + b"abc"
    return [m.build({}) for m in read.values() if m is not None] + [register(), folded, OK]


def test_every_message_split_at_every_byte_in_the_middle_of_a_stream() -> None:
    messages = whole_messages()
    assert len(messages) == 39 + 3, "of the 49, scan refuses 8, and 2 have no end"
    ring = [messages[-1], *messages, messages[0]]
    for before, message, after in zip(ring, ring[1:], ring[2:], strict=False):
        stream = before + message + KEEP_ALIVE + after
        for place in range(len(before), len(before) + len(message) + len(KEEP_ALIVE)):
            framer = Framer()
            assert units(framer, [stream[:place], stream[place:]]) == [before, message, KEEP_ALIVE, after]
            assert framer.broken is None


def test_all_of_them_byte_by_byte() -> None:
    messages = whole_messages()
    stream = b"\r\n".join(messages)
    for size in (1, 2, 3, 7, 1_460):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert units(Framer(), pieces) == messages


def test_what_has_no_end_breaks_the_stream_wherever_it_is_split() -> None:
    for name, why in ENDLESS.items():
        data = MESSAGES[name]
        for place in range(len(data)):
            framer = Framer()
            assert units(framer, [data[:place], data[place:]]) == []
            assert framer.broken is not None
            assert framer.broken.why == why
