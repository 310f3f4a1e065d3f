"""What a demonstration phone remembers of a call, and what it offers in one."""

from dataclasses import dataclass


@dataclass(slots=True)
class Call:
    """A call in progress: the dialog of RFC 3261, 12."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    ack: bytes = b""
    cseq: int = 1


def session_description(host: str) -> bytes:
    """Return an SDP body that offers PCMU to the discard port."""
    place = f"{'IP6' if ':' in host else 'IP4'} {host}"
    text = f"v=0\r\no=demo 1 1 IN {place}\r\ns=demo\r\nc=IN {place}\r\nt=0 0\r\n"
    return (text + "m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n").encode()
