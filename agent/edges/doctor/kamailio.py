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
EVAPI_HINT = "Load evapi with this bind_addr, and restart Kamailio: docs/kamailio.md."


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Two questions that change nothing."""
    if pbx.kamailio is not None:
        yield _rpc(pbx.name, pbx.kamailio)
        yield from _evapi(pbx.name, pbx.kamailio)


def _rpc(name: str, settings: Kamailio) -> Finding:
    url = f"http://{settings.rpc}{settings.path}"
    request = {"jsonrpc": "2.0", "id": 1, "method": "ul.dump", "params": ["brief"]}
    try:
        answer = httpx.post(url, json=request, timeout=TIMEOUT_S, trust_env=False)
        result = msgspec.json.decode(answer.content, type=dict[str, object])
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        return Finding(name, "rpc", "failed", f"{url}: {str(error) or type(error).__name__}", RPC_HINT)
    if "result" not in result:
        return Finding(name, "rpc", "failed", f"{url}: ul.dump: {result.get('error')}", RPC_HINT)
    return Finding(name, "rpc", "ok", f"{url} lists its contacts")


def _evapi(name: str, settings: Kamailio) -> Iterator[Finding]:
    at = settings.evapi
    if at is None:
        hint = "Name its evapi, so that changes are seen at once: docs/kamailio.md."
        detail = f"none: changes are seen every {settings.resync_s} s"
        yield Finding(name, "evapi", "warning", detail, hint)
        return
    try:
        socket.create_connection((at.host, at.port), TIMEOUT_S).close()
    except OSError as error:
        yield Finding(name, "evapi", "failed", f"{at}: {error}", EVAPI_HINT)
    else:
        yield Finding(name, "evapi", "ok", f"{at} answers")
