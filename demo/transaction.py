"""Transactions over UDP for the demonstration's PBX and phones (RFC 3261, 17), one socket each."""

import asyncio
import re
import socket
from typing import cast

from demo.sip import Address, Message, address_of, answer, answer_address, parameter

T1_S = 0.5
T2_S = 4.0
GIVE_UP_S = 64 * T1_S


def bound_socket(address: Address) -> socket.socket:
    """Return a UDP socket bound to an IPv4 or IPv6 address."""
    made = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(address)
    return made


class Endpoint(asyncio.DatagramProtocol):
    """A UDP socket with client transactions and remembered answers; subclasses say what requests mean."""

    def __init__(self, address: Address) -> None:
        """Remember the address that others reach this endpoint by."""
        self.address = address
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[tuple[str, str], asyncio.Queue[Message]] = {}
        self._answered: dict[tuple[str, str], bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, source: Address) -> None:
        """Sort a datagram: an answer, a repeated request, a new request."""
        message = Message.parse(data)
        if message is None or not message.get("Via"):
            return
        key = (parameter(message.get("Via"), "branch") or "", message.method)
        if message.is_answer:
            if key in self._waiting:
                self._waiting[key].put_nowait(message)
            else:
                self.handle_answer(message)
        elif key in self._answered:
            self.send_bytes(self._answered[key], answer_address(stamped(message, source).get("Via")))
        else:
            self.handle(stamped(message, source))

    def handle(self, request: Message) -> None:
        """Act on a new request."""
        raise NotImplementedError

    def handle_answer(self, message: Message) -> None:
        """Act on an answer that no transaction of ours waits for."""

    def send_bytes(self, data: bytes, to: Address) -> None:
        """Send one datagram."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, to)

    def reply(self, request: Message, made: Message) -> None:
        """Send an answer and remember it for repetitions of its request; forget it after 64 T1."""
        via, data = request.get("Via"), made.render()
        self.send_bytes(data, answer_address(via))
        key = (parameter(via, "branch") or "", request.method)
        self._answered[key] = data
        asyncio.get_running_loop().call_later(GIVE_UP_S, self._answered.pop, key, None)

    async def request(self, message: Message, to: Address) -> Message:
        """Send a request until its final answer, which is returned; 408 made here after 64 T1."""
        key = (parameter(message.get("Via"), "branch") or "", message.method)
        answers = self._waiting[key] = asyncio.Queue()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                return await self._repeat_until_final(message, answers, to)
        except TimeoutError:
            return answer(message, 408, "Request Timeout")
        finally:
            del self._waiting[key]

    async def _repeat_until_final(
        self, message: Message, answers: asyncio.Queue[Message], to: Address
    ) -> Message:
        """Retransmit at T1, 2 T1, … up to T2; a provisional answer ends it for INVITE."""
        pause_s: float | None = T1_S
        while True:
            if pause_s is not None:
                self.send_bytes(message.render(), to)
            try:
                got = await asyncio.wait_for(answers.get(), pause_s)
            except TimeoutError:
                pause_s = min(2 * (pause_s or T1_S), T2_S)
                continue
            if got.status >= 200:
                return got
            pause_s = None if message.method == "INVITE" else T2_S

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()


def stamped(request: Message, source: Address) -> Message:
    """Write `received` and `rport` into the topmost Via where the source differs or rport asks (RFC 3581)."""
    first, *others = request.all("Via")
    if parameter(first, "rport") == "":
        first = re.sub(r";\s*rport(?=;|$)", f";rport={source[1]};received={source[0]}", first)
    elif address_of(first.split(None, 1)[1])[0] != source[0]:
        first += f";received={source[0]}"
    request.put("Via", [first, *others])
    return request
