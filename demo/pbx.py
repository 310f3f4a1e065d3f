"""A small SIP PBX: registrar with digest and Path, calls relayed to what is registered.

For `make demo` on machines without Kamailio, and as a peer in tests. It is a stateless proxy for calls
(RFC 3261, 16.11) with Record-Route, so that it stays in the path of a call as a PBX does.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import secrets
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.sip import (
    COOKIE,
    Address,
    Message,
    address_of,
    answer,
    answer_address,
    digest_fields,
    digest_response,
    parameter,
    uri_of,
    user_of,
)
from demo.transaction import Endpoint, bound_socket

NONCE_LIFE_S = 300
DEFAULT_EXPIRES_S = 3600


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of a user: the way to it (Path) and until when it counts, in monotonic seconds."""

    contact: str
    path: tuple[str, ...]
    until_s: float
    call_id: str
    cseq: int


def standard_password(user: str) -> str | None:
    """Return `pw<user>` for a number, None (an unknown user) for anything else."""
    return f"pw{user}" if user.isdigit() else None


class Pbx(Endpoint):
    """The PBX at one UDP address; `report` is called with each change of a binding."""

    def __init__(
        self,
        address: Address,
        *,
        password_of: Callable[[str], str | None] = standard_password,
        min_expires_s: int = 1,
        report: Callable[[dict[str, object]], None] = lambda _: None,
    ) -> None:
        """Describe it; the socket is given to `create_datagram_endpoint`."""
        super().__init__(address)
        self.realm = "demo.pbx"
        self._password_of = password_of
        self._min_expires_s = min_expires_s
        self._report = report
        self._bindings: dict[str, dict[str, Binding]] = {}
        self._secret = secrets.token_bytes(16)

    def bindings(self, user: str) -> list[Binding]:
        """Return the live bindings of a user, the newest last."""
        now = time.monotonic()
        own = self._bindings.get(user, {})
        for contact in [key for key, binding in own.items() if binding.until_s <= now]:
            del own[contact]
            self._report({"event": "expired", "user": user, "contact": contact})
        return list(own.values())

    def handle(self, request: Message) -> None:
        """REGISTER and OPTIONS are for us, everything else is relayed."""
        if request.method == "REGISTER":
            self._register(request)
        elif request.method == "OPTIONS" and not user_of(request.uri):
            self.reply(request, answer(request, 200, "OK"))
        else:
            self._relay(request)

    # --- registrar (RFC 3261, 10.3)

    def _register(self, request: Message) -> None:
        user = user_of(uri_of(request.get("To")))
        password = self._password_of(user)
        if password is None:
            self.reply(request, answer(request, 404, "Unknown user"))
        elif not self._proven(request, user, password):
            challenge = f'Digest realm="{self.realm}", nonce="{self._nonce()}", algorithm=MD5, qop="auth"'
            self.reply(request, answer(request, 401, "Unauthorized", [("WWW-Authenticate", challenge)]))
        else:
            self.reply(request, self._update(request, user))

    def _nonce(self) -> str:
        stamp = f"{int(time.monotonic()):x}"
        return f"{stamp}.{hmac.new(self._secret, stamp.encode(), 'sha256').hexdigest()[:16]}"

    def _proven(self, request: Message, user: str, password: str) -> bool:
        """Return whether the credentials are this user's, over a nonce of ours that is not too old."""
        fields = digest_fields(request.get("Authorization"))
        if not {"username", "realm", "nonce", "uri", "response"} <= fields.keys():
            return False
        if "qop" in fields and not {"nc", "cnonce"} <= fields.keys():
            return False
        stamp, _, seal = fields["nonce"].partition(".")
        if seal != hmac.new(self._secret, stamp.encode(), "sha256").hexdigest()[:16]:
            return False
        fresh = time.monotonic() - int(stamp, 16) < NONCE_LIFE_S
        right = digest_response(fields, "REGISTER", password) == fields["response"]
        return fresh and right and (fields["username"], fields["realm"]) == (user, self.realm)

    def _update(self, request: Message, user: str) -> Message:
        """Change the bindings as asked; return the 200 that lists them, or 423."""
        asked = {
            contact: self._expires(request, contact) for contact in request.all("Contact") if contact != "*"
        }
        if any(0 < seconds < self._min_expires_s for seconds in asked.values()):
            return answer(request, 423, "Interval Too Brief", [("Min-Expires", str(self._min_expires_s))])
        own = self._bindings.setdefault(user, {})
        if request.get("Contact") == "*":
            asked = {f"<{contact}>": 0 for contact in own}
        for value, seconds in asked.items():
            self._bind(request, user, uri_of(value), seconds)
        now = time.monotonic()
        contacts = [
            ("Contact", f"<{binding.contact}>;expires={round(binding.until_s - now)}")
            for binding in self.bindings(user)
        ]
        paths = [("Path", value) for value in request.all("Path")]
        return answer(request, 200, "OK", [*contacts, *paths])

    def _expires(self, request: Message, contact: str) -> int:
        text = parameter(contact, "expires") or request.get("Expires")
        return int(text) if text.isdigit() else DEFAULT_EXPIRES_S

    def _bind(self, request: Message, user: str, contact: str, seconds: int) -> None:
        """Add, refresh or remove one binding; a late copy of an older request changes nothing."""
        call_id, cseq = request.get("Call-ID"), int(request.get("CSeq").split()[0])
        own = self._bindings[user]
        known = own.pop(contact, None)
        if known is not None and known.call_id == call_id and known.cseq >= cseq:
            own[contact] = known
        elif seconds > 0:
            path = tuple(request.all("Path"))
            own[contact] = Binding(contact, path, time.monotonic() + seconds, call_id, cseq)
            event = "refreshed" if known else "registered"
            self._report({"event": event, "user": user, "contact": contact, "expires_s": seconds})
        elif known is not None:
            self._report({"event": "unregistered", "user": user, "contact": contact})

    # --- stateless proxy (RFC 3261, 16.11)

    def _relay(self, request: Message) -> None:
        """Send a request on: along its Route, to a binding if it is for a user of ours, else to its URI."""
        refusal = self._prepare(request)
        if refusal is None:
            routes = request.all("Route")
            self.send_bytes(request.render(), address_of(uri_of(routes[0]) if routes else request.uri))
        elif request.method != "ACK":
            self.send_bytes(answer(request, *refusal).render(), answer_address(request.get("Via")))

    def _prepare(self, request: Message) -> tuple[int, str] | None:
        """Change a request into what leaves; return status and reason if it cannot leave."""
        hops = int(request.get("Max-Forwards") or 70)
        if hops <= 0:
            return 483, "Too Many Hops"
        branch = self._branch(request)
        routes = request.all("Route")
        if routes and address_of(uri_of(routes[0])) == self.address:
            routes = routes[1:]
        if not routes and address_of(request.uri) in (self.address, (self.address[0], 5060)):
            bindings = self.bindings(user_of(request.uri))
            if not bindings:
                return 404, "Not registered"
            request.first = f"{request.method} {bindings[-1].contact} SIP/2.0"
            routes = list(bindings[-1].path)
        host, port = self.address
        request.put("Route", routes)
        request.put("Max-Forwards", [str(hops - 1)])
        if request.method == "INVITE":
            request.put("Record-Route", [f"<sip:{host}:{port};lr>", *request.all("Record-Route")])
        request.put("Via", [f"SIP/2.0/UDP {host}:{port};branch={branch}", *request.all("Via")])
        return None

    def _branch(self, request: Message) -> str:
        """Return the same branch for a repetition, and for the CANCEL and ACK of an INVITE."""
        origin = f"{parameter(request.get('Via'), 'branch')} {request.uri}"
        return COOKIE + hashlib.blake2s(origin.encode(), key=self._secret).hexdigest()[:24]

    def handle_answer(self, message: Message) -> None:
        """Take our Via off an answer and send it where the next one says."""
        first, *others = message.all("Via")
        if others and address_of(first.split(None, 1)[1]) == self.address:
            message.put("Via", others)
            self.send_bytes(message.render(), answer_address(others[0]))


async def serve(pbx: Pbx, sock: socket.socket) -> None:
    """Run until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await loop.create_datagram_endpoint(lambda: pbx, sock=sock)
    print(json.dumps({"event": "listening", "address": f"{pbx.address[0]}:{pbx.address[1]}"}), flush=True)
    await stop.wait()
    pbx.close()


def main() -> None:
    """Read the command line and serve; each event is one line of JSON on stdout."""
    parser = argparse.ArgumentParser(description="A small SIP PBX. User N has the password pwN.")
    parser.add_argument("--listen", default="127.0.0.1:5060", help="UDP address, HOST:PORT")
    address = address_of(parser.parse_args().listen)
    with bound_socket(address) as sock:
        pbx = Pbx(address, report=lambda event: print(json.dumps(event), flush=True))
        asyncio.run(serve(pbx, sock))


if __name__ == "__main__":
    main()
