"""A phone whose calls are told beforehand: how long it rings and talks, whom it refuses, forwards, transfers.

It is the demonstration's phone with more manners. What a call lasted is for a capture to say, not for it.
"""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from demo.call import Call, session_description
from demo.phone import Phone
from demo.sip import Address, Message, answer, parameter, uri_of, user_of

REASONS: Final = {200: "OK", 302: "Moved Temporarily", 486: "Busy Here", 603: "Decline"}


@dataclass(frozen=True, slots=True)
class Talking:
    """How a phone ends a call: by itself after `for_s`, or never (None); with `to` it transfers it there.

    With `consults_s` it calls `to` first, talks for so long, and then transfers the one call to the other;
    with 0 it does not wait for the answer.
    """

    for_s: float | None = None
    to: str = ""
    consults_s: float | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a phone takes a call: it rings `ring_s` and says `status`, a 302 with the number `to`."""

    ring_s: float = 0.0
    status: int = 200
    to: str = ""
    talking: Talking = Talking()


@dataclass(slots=True)
class Talk:
    """A call that goes on."""

    call: Call
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Telephone(Phone):
    """One user's phone; `manner` is how it takes a call, `manners` those to other numbers (it is a line)."""

    manner = Manner()
    manners: Mapping[str, Manner] = MappingProxyType({})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing goes on yet."""
        super().connection_made(transport)
        self._talks: dict[str, Talk] = {}
        self._called: dict[str, asyncio.Future[str]] = {}
        self._ringing: dict[str, tuple[Message, asyncio.Task[None]]] = {}
        self._doing: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Stop what it does."""
        for task in self._doing:
            task.cancel()
        super().close()

    async def idle(self) -> None:
        """Return when it is in no call."""
        while self._doing:
            await asyncio.wait(self._doing)

    # --- calling

    async def place(
        self, number: str, talking: Talking = Talking(), *, gives_up_s: float | None = None
    ) -> int:
        """Call a number and see it to its end; the final status. A 302 it follows.

        What is not answered within `gives_up_s` it cancels.
        """
        invite = self._invite(number)
        asked = asyncio.ensure_future(self._asked(invite))
        if gives_up_s is not None and not (await asyncio.wait([asked], timeout=gives_up_s))[0]:
            await self.request(self._cancelling(invite), self._proxy)
        got = await asked
        if got.status == 302:
            return await self.place(user_of(uri_of(got.get("Contact"))), talking)
        if got.status == 200:
            await self._talked(self._begun(invite, got), talking)
        return got.status

    def _invite(self, number: str) -> Message:
        uri, drawn = f"sip:{number}@{self._domain}", secrets.token_hex(6)
        sender = f"<sip:{self.user}@{self._domain}>;tag={drawn}"
        made = self._request("INVITE", uri, sender, f"<{uri}>", f"{drawn}@{self.address[0]}", 1)
        made.headers.append(("Content-Type", "application/sdp"))
        made.body = session_description(self.address[0])
        return made

    async def _asked(self, invite: Message) -> Message:
        """The final answer to this INVITE, which is changed when its credentials are wanted."""
        got = await self.request(invite, self._proxy)
        if got.status == 401:
            self._refused(invite, got)
            credentials = self._credentials(got, "INVITE", invite.uri)
            again = self._request("INVITE", invite.uri, invite.get("From"), invite.get("To"), "", 2)
            again.put("Call-ID", [invite.get("Call-ID")])
            invite.put("Via", again.all("Via"))
            invite.put("CSeq", ["2 INVITE"])
            invite.put("Authorization", [credentials])
            got = await self.request(invite, self._proxy)
        if got.status != 200:
            self._refused(invite, got)
        return got

    def _refused(self, invite: Message, got: Message) -> None:
        """ACK of an answer that is no 200: of the same transaction (RFC 3261, 17.1.1.3)."""
        self.send_bytes(self._within(invite, "ACK", got.get("To")).render(), self._proxy)

    def _cancelling(self, invite: Message) -> Message:
        return self._within(invite, "CANCEL", invite.get("To"))

    def _within(self, invite: Message, method: str, to: str) -> Message:
        number = int(invite.get("CSeq").split()[0])
        made = self._request(method, invite.uri, invite.get("From"), to, invite.get("Call-ID"), number)
        made.put("Via", [invite.get("Via")])
        return made

    def _begun(self, invite: Message, got: Message) -> Talk:
        number = int(invite.get("CSeq").split()[0])
        call = Call(
            invite.get("Call-ID"),
            invite.get("From"),
            got.get("To"),
            uri_of(got.get("Contact")),
            list(reversed(got.all("Record-Route"))),
            cseq=number,
        )
        call.ack = self._in_dialog(call, "ACK").render()
        self.send_bytes(call.ack, self._proxy)
        talk = self._talks[call.call_id] = Talk(call)
        return talk

    # --- in a call

    async def _talked(self, talk: Talk, talking: Talking) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(talk.over.wait(), talking.for_s)
        if not talk.over.is_set() and talking.to:
            await self._transferred(talk, talking)
        elif not talk.over.is_set():
            await self._hung_up(talk)

    async def _hung_up(self, talk: Talk) -> None:
        self._talks.pop(talk.call.call_id, None)
        talk.call.cseq += 1
        await self.request(self._in_dialog(talk.call, "BYE"), self._proxy)
        talk.over.set()

    async def _transferred(self, talk: Talk, talking: Talking) -> None:
        """REFER: the other side calls, or joins our two calls, and ends them or has us do it."""
        others = [] if talking.consults_s is None else [await self._consulted(talking.to, talking.consults_s)]
        replaced = "".join(f"?Replaces={quote(_replaces(other.call), safe='')}" for other in others)
        talk.call.cseq += 1
        refer = self._in_dialog(talk.call, "REFER")
        uri = f"sip:{self.user}@{self._domain}"
        target = f"<sip:{talking.to}@{self._domain}{replaced}>"
        refer.headers += [("Refer-To", target), ("Referred-By", f"<{uri}>")]
        await self.request(refer, self._proxy)
        for each in (talk, *others):
            await each.over.wait()

    async def _consulted(self, number: str, for_s: float) -> Talk:
        """A second call, which goes on."""
        invite = self._invite(number)
        if not for_s:
            return await self._rung(invite)
        got = await self._asked(invite)
        assert got.status == 200, f"{number} did not take the call: {got.first}"
        talk = self._begun(invite, got)
        await asyncio.sleep(for_s)
        return talk

    async def _rung(self, invite: Message) -> Talk:
        """A call that rings; the PBX ends it when another one takes its place."""
        ringing: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._called[invite.get("Call-ID")] = ringing
        self._do(self._seen_off(invite))
        talk = Talk(Call(invite.get("Call-ID"), invite.get("From"), await ringing, invite.uri, []))
        talk.over.set()
        return talk

    async def _seen_off(self, invite: Message) -> None:
        got = await self._asked(invite)
        assert got.status != 200, "it was to be replaced"

    def datagram_received(self, data: bytes, source: Address) -> None:
        """Whom we call is rung: from here on that call may be transferred."""
        message = Message.parse(data)
        if message is not None and message.is_answer and message.status == 180:
            ringing = self._called.pop(message.get("Call-ID"), None)
            if ringing is not None:
                ringing.set_result(message.get("To"))
        super().datagram_received(data, source)

    # --- being asked

    def handle(self, request: Message) -> None:
        """Answer what others ask."""
        talk = self._talks.get(request.get("Call-ID"))
        match request.method:
            case "ACK":
                pass
            case "INVITE" if talk is None:
                self._ring(request)
            case "INVITE":
                self._accept(request)
            case "CANCEL":
                self._give_up(request)
            case "BYE" if talk is not None:
                del self._talks[talk.call.call_id]
                self.reply(request, answer(request, 200, "OK"))
                talk.over.set()
            case "REFER" if talk is not None:
                self.reply(request, answer(request, 202, "Accepted"))
                self._do(self._follow(talk, user_of(uri_of(request.get("Refer-To")))))
            case "NOTIFY" if talk is not None:
                self.reply(request, answer(request, 200, "OK"))
                if b" 200 " in request.body:
                    self._do(self._hung_up(talk))
            case "OPTIONS" | "UPDATE":
                self.reply(request, answer(request, 200, "OK"))
            case _:
                self.reply(request, answer(request, 481, "Call Does Not Exist"))

    def handle_answer(self, message: Message) -> None:
        """A repeated 200 to our INVITE means that its ACK was lost: send it again."""
        talk = self._talks.get(message.get("Call-ID"))
        if message.method == "INVITE" and talk is not None:
            self.send_bytes(talk.call.ack, self._proxy)

    def _do(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        return task

    def _ring(self, invite: Message) -> None:
        ringing = answer(invite, 180, "Ringing", [("Contact", f"<{self.contact}>")])
        self.send_bytes(ringing.render(), self._proxy)
        self._ringing[invite.get("Call-ID")] = invite, self._do(self._take(invite))

    async def _take(self, invite: Message) -> None:
        manner = self.manners.get(user_of(invite.uri), self.manner)
        await asyncio.sleep(manner.ring_s)
        del self._ringing[invite.get("Call-ID")]
        if manner.status != 200:
            to = [("Contact", f"<sip:{manner.to}@{self._domain}>")] if manner.to else []
            self.reply(invite, answer(invite, manner.status, REASONS[manner.status], to))
            return
        local = self._accept(invite)
        target, routes = uri_of(invite.get("Contact")), invite.all("Record-Route")
        call = Call(invite.get("Call-ID"), local, invite.get("From"), target, routes)
        talk = self._talks[call.call_id] = Talk(call)
        await self._talked(talk, manner.talking)

    def _accept(self, invite: Message) -> str:
        """Say 200; our own end of the dialog."""
        headers = [("Contact", f"<{self.contact}>"), ("Content-Type", "application/sdp")]
        made = answer(invite, 200, "OK", headers)
        made.body = session_description(self.address[0])
        self.reply(invite, made)
        return made.get("To")

    def _give_up(self, cancel: Message) -> None:
        self.reply(cancel, answer(cancel, 200, "OK"))
        if cancel.get("Call-ID") in self._ringing:
            invite, task = self._ringing.pop(cancel.get("Call-ID"))
            task.cancel()
            self.reply(invite, answer(invite, 487, "Request Terminated"))

    async def _follow(self, talk: Talk, number: str) -> None:
        """Call whom a REFER names, and tell how it went when it was answered (RFC 3515)."""
        invite = self._invite(number)
        got = await self._asked(invite)
        talk.call.cseq += 1
        notify = self._in_dialog(talk.call, "NOTIFY")
        notify.headers += [
            ("Event", "refer"),
            ("Subscription-State", "terminated;reason=noresource"),
            ("Content-Type", "message/sipfrag"),
        ]
        notify.body = f"SIP/2.0 {got.status} {got.reason}\r\n".encode()
        await self.request(notify, self._proxy)
        if got.status == 200:
            await self._talked(self._begun(invite, got), Talking())


def _replaces(call: Call) -> str:
    """A dialog of ours as its other side knows it (RFC 3891, 3)."""
    theirs, ours = (parameter(end, "tag") for end in (call.remote, call.local))
    return f"{call.call_id};to-tag={theirs};from-tag={ours}"
