"""JSON-RPC to a Kamailio over HTTP (its modules xhttp and jsonrpcs): list contacts, remove one."""

import re
from typing import Any, TypeVar

import httpx
import msgspec

from agent.kamailio import Kamailio
from agent.service.driver import CannotEvictError, LinkLostError, RefusedError, UnansweredError
from runtime.answers import detached
from telephony.pbx.kamailio import PERMANENT

TIMEOUT_S = 30.0  # a table of 10,000 contacts takes seconds
TABLE = "location"
# All of them are error 500 or 404; only the text tells them apart.
GONE = ("Contact not found", "AOR not found")
UNKNOWN_METHOD = "Method Not Found"
ENDED = 5  # the state of a dialog that is over, and is listed for some seconds more

_NO_TEXT = re.compile("[\udc80-\udcff]")

Row = tuple[str, str, int | str]


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""


class _Contact(msgspec.Struct, frozen=True, rename={"uri": "Address", "left": "Expires"}):
    """The first fields of a contact; all others are left."""

    uri: str
    left: int | str


class _Item(msgspec.Struct, frozen=True, rename={"contact": "Contact"}):
    contact: _Contact


class _Info(msgspec.Struct, frozen=True, rename={"aor": "AoR", "contacts": "Contacts"}):
    aor: str
    contacts: list[_Item]


class _Aor(msgspec.Struct, frozen=True, rename={"info": "Info"}):
    info: _Info


class _Table(msgspec.Struct, frozen=True, rename={"name": "Domain", "aors": "AoRs"}):
    name: str
    aors: list[_Aor]


class _Domain(msgspec.Struct, frozen=True, rename={"table": "Domain"}):
    table: _Table


class _Dump(msgspec.Struct, frozen=True, rename={"domains": "Domains"}):
    domains: list[_Domain]


class _Dialog(msgspec.Struct, frozen=True, rename={"call_id": "call-id"}):
    call_id: str
    state: int


class _Uptime(msgspec.Struct, frozen=True):
    uptime: int


class _Answer(msgspec.Struct, frozen=True):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Fault | None = None


M = TypeVar("M", bound=msgspec.Struct)
T = TypeVar("T")


class Rpc:
    """The calls of one Kamailio; close it at the end."""

    def __init__(self, settings: Kamailio) -> None:
        self._url = f"http://{settings.rpc}{settings.path}"
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        """End the connection."""
        await self._client.aclose()

    async def location(self) -> list[Row]:
        """The location table as AOR, URI and seconds left (or Kamailio's word for it).

        LinkLostError for everything but a whole answer; that of an empty table is a whole one.
        """
        answer = await self._call("ul.dump")
        if answer.error is not None:
            raise _refused("ul.dump", answer.error)
        tables = [domain.table for domain in self._decoded(answer.result, _Dump).domains]
        found = next((table for table in tables if table.name == TABLE), None)
        if found is None:
            names = ", ".join(table.name for table in tables)
            raise RefusedError(f'rpc: no table "{TABLE}" in usrloc, only: {names}')
        rows: list[Row] = []
        for aor in found.aors:
            for item in aor.info.contacts:
                left = item.contact.left
                if isinstance(left, str) and left != PERMANENT and left.isdigit():
                    left = int(left)
                rows.append((aor.info.aor, item.contact.uri, left))
        return rows

    async def dialogs(self) -> frozenset[bytes]:
        """The Call-IDs of the dialogs that are not over; an empty list is a whole answer.

        UnansweredError for everything but a whole answer, LinkLostError for none.
        """
        return frozenset(
            dialog.call_id.encode()
            for dialog in await self._listed("dlg.list", list[_Dialog], "dialog.so")
            if dialog.state != ENDED
        )

    async def uptime_s(self) -> int:
        """For how many whole seconds it has been running; UnansweredError, LinkLostError."""
        return (await self._listed("core.uptime", _Uptime, "kex.so")).uptime

    async def _listed(self, method: str, model: type[T], module: str) -> T:
        """To the letter: a Call-ID that is no UTF-8 cannot be compared, and makes no list."""
        content = await self._post(method)
        try:
            answer = msgspec.json.decode(content, type=_Answer)
            if answer.error is None:
                return msgspec.json.decode(answer.result, type=model)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnansweredError(f"rpc: {method} is not understood: {error}") from error
        hint = f"; it needs loadmodule {module}" if answer.error.message == UNKNOWN_METHOD else ""
        raise UnansweredError(f"rpc: {method}: {answer.error.message}{hint}")

    async def remove(self, aor: str, uri: str) -> None:
        """Take one contact out of the table; CannotEvictError, LinkLostError."""
        answer = await self._call("ul.rm_contact", TABLE, aor, uri)
        if answer.error is None or answer.error.message.startswith(GONE):
            return
        raise CannotEvictError(answer.error.message)

    async def _call(self, method: str, *parameters: str) -> _Answer:
        """LinkLostError where no answer of JSON-RPC comes."""
        return self._decoded(_readable(await self._post(method, *parameters)), _Answer)

    async def _post(self, method: str, *parameters: str) -> bytes:
        """LinkLostError where nothing comes; errors of Kamailio come with status 400 to 599."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        try:
            response = detached(await self._client.post(self._url, content=msgspec.json.encode(request)))
        except httpx.HTTPError as error:
            raise LinkLostError(f"rpc: {method}: {str(error) or type(error).__name__}") from error
        if response.status_code in (401, 403):
            raise RefusedError(f"rpc: {self._url} answers {response.status_code}")
        return response.content

    def _decoded(self, content: Any, model: type[M]) -> M:
        try:
            return msgspec.json.decode(content, type=model)
        except msgspec.DecodeError as error:
            raise LinkLostError(f"rpc: {self._url} is no JSON-RPC of Kamailio: {error}") from error


def _readable(content: bytes) -> str:
    """What a phone wrote that is no UTF-8 stands in backslash escapes, as in the frames of evapi."""
    text = content.decode("utf-8", "surrogateescape")
    return _NO_TEXT.sub(lambda found: rf"\\x{ord(found[0]) - 0xDC00:02x}", text)


def _refused(method: str, fault: _Fault) -> LinkLostError:
    if fault.message == UNKNOWN_METHOD:
        return RefusedError(f"rpc: Kamailio knows no {method}; it needs loadmodule usrloc.so")
    return LinkLostError(f"rpc: {method}: {fault.message}")
