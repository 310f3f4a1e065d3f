"""A Kamailio that tells or asks: do its JSON-RPC, and its evapi or reg event, answer here?"""

import socket
from collections.abc import Iterator

import httpx
import msgspec

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.question import NoSipError, ask
from agent.edges.kamailio.reg_event import Watched
from agent.endpoint import Address
from agent.kamailio import Kamailio

TIMEOUT_S = 2.0
RPC_HINT = "Load xhttp, jsonrpcs and usrloc, and let this host in: docs/kamailio.md."
DIALOGS_HINT = "Load dialog, call dlg_manage() for every INVITE, write dialogs: true: docs/kamailio.md."
EVAPI_HINT = "Load evapi with this bind_addr, and restart Kamailio: docs/kamailio.md."
REG_EVENT_HINT = (
    "Load presence_reginfo, and pass SUBSCRIBE of this host to handle_subscribe(): docs/kamailio.md."
)


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Questions that change nothing."""
    if pbx.kamailio is None:
        return
    yield _listed(pbx.name, pbx.kamailio, "rpc", ["ul.dump", "brief"], RPC_HINT)
    if pbx.kamailio.reg_event is not None:
        yield _reg_event(pbx, pbx.kamailio.reg_event)
    else:
        yield _evapi(pbx.name, pbx.kamailio)
    if pbx.kamailio.dialogs:
        yield _listed(pbx.name, pbx.kamailio, "dialogs", ["dlg.stats_active"], DIALOGS_HINT)
    elif pbx.calls.lines:
        detail = "not asked for: a call whose end nobody saw is over by its time"
        yield Finding(pbx.name, "dialogs", "warning", detail, DIALOGS_HINT)


def _listed(name: str, settings: Kamailio, check: str, words: list[str], hint: str) -> Finding:
    """Ask by JSON-RPC; `words` are the method and its parameters."""
    url = f"http://{settings.rpc}{settings.path}"
    request = {"jsonrpc": "2.0", "id": 1, "method": words[0], "params": words[1:]}
    try:
        answer = httpx.post(url, json=request, timeout=TIMEOUT_S, trust_env=False)
        result = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        return Finding(name, check, "failed", f"{url}: {str(error) or type(error).__name__}", hint)
    if "result" not in result:
        refused = bytes(result.get("error", b"")).decode("utf-8", "replace")
        return Finding(name, check, "failed", f"{url}: {words[0]}: {refused}", hint)
    return Finding(name, check, "ok", f"{url} answers {words[0]}")


def _reg_event(pbx: PbxEntry, here: Address) -> Finding:
    """A subscription that is over at once (RFC 6665 4.4.3), asked for where the agent asks from."""
    watched = Watched.of(pbx)
    aor = next(iter(watched.aors), "pbx-agent")
    uri = f"sip:{aor if '@' in aor else f'{aor}@{watched.domain}'}"
    headers = (
        "Event: reg",
        "Accept: application/reginfo+xml",
        "Expires: 0",
        "Contact: <sip:pbx-agent@{place}>",
    )
    try:
        status = ask(pbx.sip, "SUBSCRIBE", uri, uri, headers, own=here.host)
    except TimeoutError:
        detail = f"{pbx.sip.pbx} did not answer SUBSCRIBE"
    except (OSError, NoSipError) as error:
        detail = f"{pbx.sip.pbx}: {error}"
    else:
        detail = f"{pbx.sip.pbx} answers SUBSCRIBE by {status}"
        if status.startswith("2"):
            return Finding(pbx.name, "reg_event", "ok", detail)
    return Finding(pbx.name, "reg_event", "failed", detail, REG_EVENT_HINT)


def _evapi(name: str, settings: Kamailio) -> Finding:
    at = settings.evapi
    if at is None:
        hint = "Name its evapi, or reg_event, so that changes are seen at once: docs/kamailio.md."
        return Finding(name, "evapi", "warning", f"none: changes are seen every {settings.resync_s} s", hint)
    try:
        socket.create_connection((at.host, at.port), TIMEOUT_S).close()
    except OSError as error:
        return Finding(name, "evapi", "failed", f"{at}: {error}", EVAPI_HINT)
    return Finding(name, "evapi", "ok", f"{at} answers")
