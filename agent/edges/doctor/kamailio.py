"""A Kamailio that tells or asks: do its JSON-RPC and its evapi answer here?"""

import socket
from collections.abc import Iterator

import httpx
import msgspec

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.kamailio import Kamailio

TIMEOUT_S = 2.0
RPC_HINT = "Load xhttp, jsonrpcs and usrloc, and let this host in: docs/kamailio.md."
DIALOGS_HINT = "Load dialog, call dlg_manage() for every INVITE, write dialogs: true: docs/kamailio.md."
EVAPI_HINT = "Load evapi with this bind_addr, and restart Kamailio: docs/kamailio.md."


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Questions that change nothing."""
    if pbx.kamailio is None:
        return
    yield _listed(pbx.name, pbx.kamailio, "rpc", ["ul.dump", "brief"], RPC_HINT)
    yield from _evapi(pbx.name, pbx.kamailio)
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


def _evapi(name: str, settings: Kamailio) -> Iterator[Finding]:
    at = settings.evapi
    if settings.reg_event is not None:  # what Kamailio refuses there is said by `status`
        return
    if at is None:
        hint = "Name its evapi, or reg_event, so that changes are seen at once: docs/kamailio.md."
        detail = f"none: changes are seen every {settings.resync_s} s"
        yield Finding(name, "evapi", "warning", detail, hint)
        return
    try:
        socket.create_connection((at.host, at.port), TIMEOUT_S).close()
    except OSError as error:
        yield Finding(name, "evapi", "failed", f"{at}: {error}", EVAPI_HINT)
    else:
        yield Finding(name, "evapi", "ok", f"{at} answers")
