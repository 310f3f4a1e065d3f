"""The AppWebsocket of an innovaphone PBX: JSON messages, answered by their `src`, after a login as an App."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from agent.innovaphone import Innovaphone
from agent.service.driver import LinkLostError, RefusedError
from runtime.certificates import CertificateFileError, client_context
from telephony.pbx.innovaphone import login_digest

LOGIN_S = 10.0
ANSWER_S = 10.0
MESSAGE_LIMIT = 1 << 20

Message = dict[str, Any]


class AppWebsocket:
    """One connection that is logged in; `listen` runs beside the questions."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._asked = 0

    async def enter(self, app: str, password: str) -> None:
        """Log in; RefusedError when the PBX does not want us."""
        try:
            async with asyncio.timeout(LOGIN_S):
                challenge = await self._told("AppChallengeResult", mt="AppChallenge")
                digest = login_digest(app, str(challenge.get("challenge", "")), password)
                result = await self._told("AppLoginResult", mt="AppLogin", app=app, digest=digest)
        except TimeoutError as error:
            raise LinkLostError(f"no answer to the login within {LOGIN_S:.0f} s") from error
        if result.get("ok") is not True:
            raise RefusedError(f'the PBX refuses the App "{app}": its name or its password')

    async def listen(self) -> NoReturn:
        """Hand answers to who asked, until the connection ends by LinkLostError; all else is left."""
        try:
            while True:
                message = await self._receive()
                heard = self._answers.pop(str(message.get("src", "")), None)
                if heard is not None and not heard.done():
                    heard.set_result(message)
        finally:
            for heard in self._answers.values():
                if not heard.done():
                    heard.set_exception(LinkLostError("AppWebsocket: the connection ended"))

    async def ask(self, api: str, mt: str, **fields: object) -> Message:
        """The answer to a question; LinkLostError where there is none, or an error."""
        self._asked += 1
        src = f"q{self._asked}"
        heard: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[src] = heard
        try:
            await self._send(api=api, mt=mt, src=src, **fields)
            async with asyncio.timeout(ANSWER_S):
                answer = await heard
        except TimeoutError as error:
            raise LinkLostError(f"no answer to {api} {mt} within {ANSWER_S:.0f} s") from error
        finally:
            self._answers.pop(src, None)
        if answer.get("mt") != f"{mt}Result" or "error" in answer:
            raise LinkLostError(
                f"{api} {mt}: {answer.get('errorText') or answer.get('error') or 'no result'}"
            )
        return answer

    async def _told(self, awaited: str, **message: object) -> Message:
        """Before the login answers come in order, and the PBX may say other things too."""
        await self._send(**message)
        while True:
            told = await self._receive()
            if told.get("mt") == awaited:
                return told

    async def _send(self, **message: object) -> None:
        try:
            await self._socket.send(json.dumps(message))
        except (WebSocketException, OSError) as error:
            raise LinkLostError(f"AppWebsocket: {error}") from error

    async def _receive(self) -> Message:
        try:
            message = json.loads(await self._socket.recv())
        except (WebSocketException, OSError) as error:
            raise LinkLostError(f"AppWebsocket: {error}") from error
        except ValueError as error:
            raise LinkLostError(f"AppWebsocket: no JSON: {error}") from error
        if not isinstance(message, dict):
            raise LinkLostError("AppWebsocket: a message that is no object")
        return message


@asynccontextmanager
async def connected(settings: Innovaphone) -> AsyncIterator[AppWebsocket]:
    """A connection that is logged in; LinkLostError, RefusedError."""
    password = _password(settings)
    try:
        tls = client_context(settings.ca) if settings.url.startswith("wss:") else None
        socket = await connect(
            settings.url, ssl=tls, proxy=None, open_timeout=LOGIN_S, max_size=MESSAGE_LIMIT
        )
    except CertificateFileError as error:
        raise RefusedError(str(error)) from error
    except InvalidHandshake as error:
        raise RefusedError(f"{settings.url} is no AppWebsocket: {error}") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise LinkLostError(f"{settings.url}: {str(error) or type(error).__name__}") from error
    async with socket:
        link = AppWebsocket(socket)
        await link.enter(settings.app, password)
        yield link


def _password(settings: Innovaphone) -> str:
    """Read again for each connection."""
    try:
        return settings.password.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{settings.password}: {error}") from error
