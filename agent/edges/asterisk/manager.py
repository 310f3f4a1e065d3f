"""The driver of Asterisk: its manager interface over TCP or TLS, by a user with few rights.

What is said there is read by `telephony.pbx`; here are the connection, the login and the questions.
"""

import asyncio
import hashlib
import itertools
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from agent.asterisk import Asterisk as Settings
from agent.service.driver import CannotEvictError, Changed, LinkLostError, RefusedError, UnansweredError
from runtime.certificates import CertificateFileError, client_context
from runtime.clock import Clock
from telephony.pbx.ami import AmiError, Answer, Connection
from telephony.pbx.asterisk import (
    BOOTED,
    CALL_ID,
    RELOADED,
    SIP_CHANNELS,
    UNASKABLE_CHANNELS,
    Asterisk,
    UnknownError,
    call_id,
    calls,
    contacts,
    members,
    rooms,
)
from telephony.pbx.picture import Call, Contact, Item, Member, Ongoing, Snapshot

CONNECT_S = 10.0
LOGIN_S = 10.0
CHANNELS_LIMIT = 2_000  # each is a question of its own
AT_ONCE = 32  # questions on their way
BOOT_S = 60.0  # a large Asterisk takes its time
RIGHTS = "read = system,call and write = system,call,reporting"


class Manager:
    """One Asterisk, a `Driver`; the secret is read again for each connection."""

    name = "asterisk"

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        events: str = "system,call",
        hear: Callable[[bytes], None] | None = None,
        *,
        counts: bool = False,
    ) -> None:
        """`events`: classes of events to be told; `hear` is called with all bytes as they come.

        `counts`: the guard counts calls over lines, and wants to know which go on.
        """
        self._settings = settings
        self._clock = clock
        self._events = events
        self._hear = hear
        self._counts = counts

    def connect(self, changed: Changed) -> AbstractAsyncContextManager["ManagerSession"]:
        """A connection that is logged in, to an Asterisk that has booted; LinkLostError, RefusedError."""
        return self._connected(changed)

    @asynccontextmanager
    async def _connected(self, changed: Changed) -> AsyncIterator["ManagerSession"]:
        settings, address = self._settings, self._settings.manager
        secret, tls = _secret(settings.secret), self._tls()
        session = ManagerSession(changed, self._clock, self._hear, counts=self._counts)
        name = None if tls is None else (settings.tls and settings.tls.name) or address.host
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: session, address.host, address.port, ssl=tls, server_hostname=name
                )
        except TimeoutError as error:
            raise LinkLostError(f"{address} does not answer within {CONNECT_S:.0f} s") from error
        except (OSError, ssl.CertificateError) as error:
            raise LinkLostError(f"{address}: {error}") from error
        try:
            await session.enter(settings.user, secret, self._events)
            yield session
        finally:
            session.close()

    def _tls(self) -> ssl.SSLContext | None:
        if self._settings.tls is None:
            return None
        try:
            return client_context(self._settings.tls.ca)
        except CertificateFileError as error:
            raise RefusedError(str(error)) from error


class ManagerSession(asyncio.Protocol):
    """One connection to a manager interface, a `Session`."""

    def __init__(
        self,
        changed: Changed,
        clock: Clock,
        hear: Callable[[bytes], None] | None = None,
        *,
        counts: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._hear = hear
        self._changed = changed
        self._clock = clock
        self._counts = counts
        self._ami = Connection(secrets.token_hex(8))
        self._asterisk = Asterisk()
        self._aors_known = False
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._booted: asyncio.Future[None] = loop.create_future()
        self._end: asyncio.Future[LinkLostError] = loop.create_future()
        self._transport: asyncio.Transport | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete, in order."""
        if self._hear is not None:
            self._hear(data)
        try:
            said = self._ami.receive(data)
        except AmiError as error:
            self._lose(LinkLostError(str(error)))
            return
        for each in said:
            if isinstance(each, Answer):
                heard = self._answers.pop(each.action_id, None)
                if heard is not None and not heard.done():
                    heard.set_result(each)
            elif each.get("Event") == BOOTED:
                if not self._booted.done():
                    self._booted.set_result(None)
            elif each.get("Event") == RELOADED:
                self._aors_known = False
            elif (change := self._asterisk.change(each)) is not None:
                self._changed(change)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, by Asterisk or on the way."""
        self._lose(LinkLostError("Asterisk ended the connection" if exc is None else str(exc)))

    # Session

    async def enter(self, user: str, secret: str, events: str) -> None:
        """Log in without sending the secret, and wait until Asterisk has booted; RefusedError."""
        try:
            async with asyncio.timeout(LOGIN_S):
                challenge = await self._ask("Challenge", AuthType="MD5")
                key = challenge.response.get("Challenge", "") + secret
                digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
                login = await self._ask("Login", AuthType="MD5", Username=user, Key=digest, Events=events)
        except TimeoutError as error:
            raise LinkLostError(f"no answer to the login within {LOGIN_S:.0f} s") from error
        if not (challenge.ok and login.ok):
            said = login.text or challenge.text
            raise RefusedError(f"{said} for user {user}: see secret, permit and deny in manager.conf")
        ends = (self._booted, self._end)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=BOOT_S)
        if self._end.done():
            raise self._end.result()
        if not self._booted.done():
            raise RefusedError(f"no FullyBooted in {BOOT_S:.0f} s: give {user} {RIGHTS} in manager.conf")

    async def snapshot(self) -> Snapshot:
        """Everything, list by list; what changes meanwhile comes as changes."""
        try:
            if not self._aors_known:
                self._aors_known = True
                self._asterisk.aors(await self._ask("PJSIPShowAors"))
            now_ms = self._clock.monotonic_ms()
            pbx_s = float((await self._ask("Ping")).response.get("Timestamp", ""))
            registered = contacts(await self._ask("PJSIPShowContacts"), pbx_s, now_ms)
            snapshot = Snapshot(registered, await self._members(), calls(await self._ask("CoreShowChannels")))
            if not self._counts or snapshot.calls is None:
                return snapshot
            return await self._with_ongoing(snapshot, snapshot.calls)
        except UnknownError as error:
            if error.denied:
                raise RefusedError(f"{error}: give the user {RIGHTS} in manager.conf") from error
            raise UnansweredError(str(error)) from error
        except ValueError as error:  # a time, or a room that cannot be asked for
            raise UnansweredError(f"an answer that is no Asterisk's: {error}") from error

    async def _members(self) -> tuple[Member, ...] | None:
        names = rooms(await self._ask("ConfbridgeListRooms"))
        if names is None:
            return None
        lists = [members(await self._ask("ConfbridgeList", Conference=name)) for name in names]
        return tuple(itertools.chain.from_iterable(lists))

    async def _with_ongoing(self, snapshot: Snapshot, channels: Sequence[Call]) -> Snapshot:
        """The same with the Call-ID of every SIP channel, where all of them are surely known."""
        asked = [each for each in channels if each.channel.startswith(SIP_CHANNELS)]
        if any(each.channel.startswith(UNASKABLE_CHANNELS) for each in channels):
            return replace(snapshot, trouble="calls of chan_sip cannot be compared; chan_pjsip is needed")
        if len(asked) > CHANNELS_LIMIT:
            return replace(
                snapshot, trouble=f"{len(asked)} channels; calls are compared up to {CHANNELS_LIMIT}"
            )
        found: set[bytes] = set()
        silent: list[str] = []
        for begin in range(0, len(asked), AT_ONCE):
            some = [each.call for each in asked[begin : begin + AT_ONCE]]
            questions = [self._ask("Getvar", Channel=name, Variable=CALL_ID) for name in some]
            for name, answer in zip(some, await asyncio.gather(*questions), strict=True):
                if (its := call_id(answer)) is None:
                    silent.append(name)
                else:
                    found.add(its)
        if silent:  # over by now, else nothing is known
            still = {each.call for each in calls(await self._ask("CoreShowChannels")) or ()}
            if (unknown := next((name for name in silent if name in still), None)) is not None:
                return replace(snapshot, trouble=f"the Call-ID of channel {unknown} is not told")
        return replace(snapshot, ongoing=Ongoing(frozenset(found)))

    async def evict(self, item: Item) -> None:
        """Remove a member from its room; Asterisk has no words to end a registration."""
        match item:
            case Member(room, _, channel):
                answer = await self._ask("ConfbridgeKick", Conference=room, Channel=channel)
            case Call(_, channel):
                answer = await self._ask("Hangup", Channel=channel)
            case Contact():
                raise CannotEvictError("Asterisk cannot be asked to end a registration")
        if not answer.ok:
            raise CannotEvictError(answer.text)

    async def ended(self) -> None:
        """Wait for the end."""
        raise await asyncio.shield(self._end)

    def close(self) -> None:
        """End it; nothing is heard after."""
        self._lose(LinkLostError("closed"))

    async def _ask(self, action: str, **fields: str) -> Answer:
        if self._end.done() or self._transport is None:
            raise self._end.result()
        action_id, data = self._ami.ask(action, **fields)
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[action_id] = heard
        self._transport.write(data)
        return await heard

    def _lose(self, error: LinkLostError) -> None:
        if not self._end.done():
            self._end.set_result(error)
        for heard in self._answers.values():
            if not heard.done():
                heard.set_exception(error)
        self._answers.clear()
        if self._transport is not None:
            self._transport.abort()


def _secret(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{file} cannot be read: {error}") from error
