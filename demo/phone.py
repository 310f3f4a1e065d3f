"""A small SIP phone: registers through an outbound proxy with digest, refreshes, calls and answers.

For `make demo` on machines without baresip, and in numbers as load. It carries no sound: its SDP offers
the discard port.
"""

import argparse
import asyncio
import json
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from demo.call import Call, session_description
from demo.sip import (
    Address,
    Message,
    address_of,
    answer,
    digest_fields,
    digest_response,
    new_branch,
    parameter,
    uri_of,
    user_of,
)
from demo.transaction import Endpoint, bound_socket

REFRESH_AFTER = 0.8  # of the granted expiry


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final answer to a request of the phone; `expires_s` is what the registrar granted."""

    status: int
    reason: str
    warning: str
    expires_s: int = 0


class Phone(Endpoint):
    """One user's phone; every request goes to `proxy` first. `report` is called with what happens."""

    def __init__(
        self,
        user: str,
        address: Address,
        registrar: Address,
        proxy: Address,
        *,
        password: str | None = None,
        report: Callable[[dict[str, object]], None] = lambda _: None,
    ) -> None:
        """Describe the phone; the password of user N is `pwN` if none is given."""
        super().__init__(address)
        self.user = user
        self.call: Call | None = None
        self._domain = f"{registrar[0]}:{registrar[1]}"
        self._proxy = proxy
        self._password = password or f"pw{user}"
        self._report = report
        self._call_id = f"{secrets.token_hex(6)}@{address[0]}"
        self._cseq = 0
        self._refresh: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Outcome]] = set()

    @property
    def contact(self) -> str:
        """Return the URI this phone is reached by."""
        return f"sip:{self.user}@{self.address[0]}:{self.address[1]}"

    def _request(self, method: str, uri: str, sender: str, to: str, call_id: str, cseq: int) -> Message:
        """Return a request with the fields that every request has."""
        via = f"SIP/2.0/UDP {self.address[0]}:{self.address[1]};rport;branch={new_branch()}"
        headers = [("Via", via), ("Max-Forwards", "70"), ("From", sender), ("To", to), ("Call-ID", call_id)]
        headers += [("CSeq", f"{cseq} {method}"), ("Contact", f"<{self.contact}>"), ("User-Agent", "demo")]
        return Message(f"{method} {uri} SIP/2.0", headers)

    # --- registration

    async def register(self, expires_s: int = 60) -> Outcome:
        """Register, answering a challenge, and refresh from then on; `expires_s=0` un-registers."""
        if self._refresh is not None:
            self._refresh.cancel()
        got = await self._send_register(expires_s, None)
        if got.status == 401:
            got = await self._send_register(expires_s, got)
        outcome = Outcome(got.status, got.reason, got.get("Warning"), self._granted(got))
        if got.status == 200 and expires_s > 0 and outcome.expires_s > 0:
            loop = asyncio.get_running_loop()
            pause_s = max(1.0, outcome.expires_s * REFRESH_AFTER)
            self._refresh = loop.call_later(pause_s, self._start_refresh, expires_s)
        event = "registered" if expires_s else "unregistered"
        self._report({"event": event, "user": self.user, "status": got.status, "warning": outcome.warning})
        return outcome

    async def unregister(self) -> Outcome:
        """Give the registration back."""
        return await self.register(0)

    def _start_refresh(self, expires_s: int) -> None:
        task = asyncio.get_running_loop().create_task(self.register(expires_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_register(self, expires_s: int, challenged: Message | None) -> Message:
        self._cseq += 1
        aor, uri = f"<sip:{self.user}@{self._domain}>", f"sip:{self._domain}"
        sender = f"{aor};tag={secrets.token_hex(4)}"
        request = self._request("REGISTER", uri, sender, aor, self._call_id, self._cseq)
        request.headers.append(("Expires", str(expires_s)))
        if challenged is not None:
            request.headers.append(("Authorization", self._credentials(challenged, "REGISTER", uri)))
        return await self.request(request, self._proxy)

    def _credentials(self, challenged: Message, method: str, uri: str) -> str:
        """Return the Authorization value that answers a challenge."""
        asked = digest_fields(challenged.get("WWW-Authenticate"))
        fields = {"username": self.user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
        if "qop" in asked:
            fields |= {"qop": "auth", "nc": "00000001", "cnonce": secrets.token_hex(8)}
        fields["response"] = digest_response(fields, method, self._password)
        unquoted = ("qop", "nc")
        parts = [
            f"{name}={text}" if name in unquoted else f'{name}="{text}"' for name, text in fields.items()
        ]
        return "Digest " + ", ".join(parts)

    def _granted(self, got: Message) -> int:
        """Return the expiry of our own contact in a 200, else its Expires."""
        for value in got.all("Contact"):
            if uri_of(value).startswith(self.contact):
                return int(parameter(value, "expires") or got.get("Expires") or 0)
        return 0

    # --- calls

    async def dial(self, number: str) -> Outcome:
        """Call a number at the registrar's domain; on 200 the call is up."""
        uri = f"sip:{number}@{self._domain}"
        sender = f"<sip:{self.user}@{self._domain}>;tag={secrets.token_hex(4)}"
        call_id = f"{secrets.token_hex(6)}@{self.address[0]}"
        invite = self._request("INVITE", uri, sender, f"<{uri}>", call_id, 1)
        invite.headers.append(("Content-Type", "application/sdp"))
        invite.body = session_description(self.address[0])
        got = await self.request(invite, self._proxy)
        if got.status == 200:
            routes = list(reversed(got.all("Record-Route")))
            target = uri_of(got.get("Contact"))
            self.call = Call(call_id, sender, got.get("To"), target, routes)
            self.call.ack = self._in_dialog(self.call, "ACK").render()
            self.send_bytes(self.call.ack, self._proxy)
        else:
            ack = self._request("ACK", uri, sender, got.get("To"), call_id, 1)
            ack.put("Via", [invite.get("Via")])
            self.send_bytes(ack.render(), self._proxy)
        outcome = Outcome(got.status, got.reason, got.get("Warning"))
        self._report({"event": "called", "user": self.user, "to": number, "status": got.status})
        return outcome

    async def hang_up(self) -> Outcome:
        """End the current call."""
        assert self.call is not None, "no call"
        call, self.call = self.call, None
        call.cseq += 1
        got = await self.request(self._in_dialog(call, "BYE"), self._proxy)
        self._report({"event": "hung_up", "user": self.user, "status": got.status})
        return Outcome(got.status, got.reason, got.get("Warning"))

    def _in_dialog(self, call: Call, method: str) -> Message:
        made = self._request(method, call.target, call.local, call.remote, call.call_id, call.cseq)
        made.put("Route", call.routes)
        return made

    def handle(self, request: Message) -> None:
        """Answer what others ask: pick up at once, end on BYE."""
        if request.method == "INVITE":
            self._pick_up(request)
        elif request.method == "BYE" and self.call and self.call.call_id == request.get("Call-ID"):
            self.call = None
            self.reply(request, answer(request, 200, "OK"))
            self._report({"event": "call_ended", "user": self.user})
        elif request.method == "OPTIONS":
            self.reply(request, answer(request, 200, "OK"))
        elif request.method != "ACK":
            self.reply(request, answer(request, 481, "Call Does Not Exist"))

    def _pick_up(self, invite: Message) -> None:
        if self.call is not None or user_of(invite.uri) != self.user:
            self.reply(
                invite, answer(invite, 486 if self.call else 404, "Busy Here" if self.call else "Not me")
            )
            return
        headers = [("Contact", f"<{self.contact}>"), ("Content-Type", "application/sdp")]
        made = answer(invite, 200, "OK", headers)
        made.body = session_description(self.address[0])
        target, routes = uri_of(invite.get("Contact")), invite.all("Record-Route")
        self.call = Call(invite.get("Call-ID"), made.get("To"), invite.get("From"), target, routes)
        self.reply(invite, made)
        caller = user_of(uri_of(invite.get("From")))
        self._report({"event": "answered", "user": self.user, "from": caller})

    def handle_answer(self, message: Message) -> None:
        """A repeated 200 to our INVITE means that its ACK was lost: send it again."""
        if message.method == "INVITE" and self.call and self.call.call_id == message.get("Call-ID"):
            self.send_bytes(self.call.ack, self._proxy)

    def close(self) -> None:
        """Stop refreshing and close the socket; the registrar keeps the binding until it expires."""
        if self._refresh is not None:
            self._refresh.cancel()
        super().close()


def print_event(event: dict[str, object]) -> None:
    """Write an event as one line of JSON."""
    print(json.dumps(event), flush=True)


async def converse(phone: Phone, sock: socket.socket) -> None:
    """Obey lines of stdin until `quit` or its end: register [SECONDS], unregister, call NUMBER, hangup."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: phone, sock=sock)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        match line:
            case ["register", *seconds]:
                await phone.register(*map(int, seconds))
            case ["unregister"]:
                await phone.unregister()
            case ["call", number]:
                await phone.dial(number)
            case ["hangup"] if phone.call:
                await phone.hang_up()
            case ["quit"]:
                break
            case _:
                print_event({"event": "not_understood", "line": line})
    phone.close()


def main() -> None:
    """Read the command line and obey stdin; each event is one line of JSON on stdout."""
    parser = argparse.ArgumentParser(description=converse.__doc__)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", help="pw<user> if not given")
    parser.add_argument("--listen", required=True, help="UDP address of the phone, HOST:PORT")
    parser.add_argument("--registrar", required=True, help="domain of the user, HOST:PORT")
    parser.add_argument(
        "--proxy", help="where every request goes first, HOST:PORT; the registrar if not given"
    )
    given = parser.parse_args()
    address, registrar = address_of(given.listen), address_of(given.registrar)
    proxy = address_of(given.proxy or given.registrar)
    with bound_socket(address) as sock:
        phone = Phone(given.user, address, registrar, proxy, password=given.password, report=print_event)
        asyncio.run(converse(phone, sock))


if __name__ == "__main__":
    main()
