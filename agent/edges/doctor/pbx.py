"""The PBX behind the agent: does it answer, ask for passwords, store Path, leave contacts alone?"""

import ssl
from collections.abc import Iterator
from typing import Any

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.objects import Facts, literal_aors
from agent.edges.doctor.question import NoSipError, ask
from agent.edges.sip.secure import why
from runtime.certificates import CertificateFileError

MAX_ASKED = 20
SHOWN = 5

TRUST_HINT = (
    "All phones have this address now, strangers too: let the PBX ask everybody for a password."
    " Asterisk: no identify for it; Kamailio: no allow_trusted() (docs/operations.md)."
)
PATH_HINT = "Let the PBX store Path. Kamailio: use_path=1. Asterisk: support_path=yes on each AOR."
CONTACT_HINT = (
    "Let the PBX keep contacts as they are. Asterisk: rewrite_contact=no on the endpoints;"
    " Kamailio: no fix_nated_contact() for this address."
)


def checks(pbx: PbxEntry, facts: Facts) -> Iterator[Finding]:
    """What can be asked without a subscriber's password, and what the running agent has seen."""
    answer = _answers(pbx)
    yield answer
    yield _trusts(pbx, facts) if answer.state == "ok" else _untried(pbx, "trust", "the PBX did not answer")
    seen = None if isinstance(facts, str) else facts.get(pbx.name, {}).get("sightings")
    if seen is None:
        yield _untried(pbx, "path", "the running agent knows it")
        yield _untried(pbx, "contacts", "the running agent knows it")
    else:
        yield _stores_path(pbx, seen)
        yield _keeps_contacts(pbx, seen)


def _untried(pbx: PbxEntry, check: str, why: str) -> Finding:
    return Finding(pbx.name, check, "unknown", f"not tried: {why}")


def _answers(pbx: PbxEntry) -> Finding:
    """One OPTIONS; any SIP answer will do."""
    uri = f"sip:{pbx.sip.pbx.address}"
    try:
        status = ask(pbx.sip, "OPTIONS", uri, uri, ["Contact: <sip:doctor@{place}>"])
    except TimeoutError:
        hint = "Is it on? A PBX that answers only known peers may stay silent here."
        return Finding(pbx.name, "pbx", "warning", f"{pbx.sip.pbx} did not answer OPTIONS", hint)
    except NoSipError:
        return Finding(pbx.name, "pbx", "failed", f"{pbx.sip.pbx} is no SIP server", "Check sip.pbx.")
    except ssl.SSLError as error:
        hint = "Compare sip.tls with the certificate of the PBX, and what the PBX believes with ours."
        return Finding(pbx.name, "pbx", "failed", f"{pbx.sip.pbx}: {why(error)}", hint)
    except (OSError, CertificateFileError) as error:
        return Finding(pbx.name, "pbx", "failed", f"{pbx.sip.pbx}: {error}", "Check sip.pbx and the route.")
    return Finding(pbx.name, "pbx", "ok", f"{pbx.sip.pbx} answered {status}")


def _trusts(pbx: PbxEntry, facts: Facts) -> Finding:
    """Ask who is registered, which changes nothing (RFC 3261 10.2.3) and should take a password."""
    statuses: dict[str, str] = {}
    for aor in _known_aors(pbx, facts)[:MAX_ASKED]:
        try:
            statuses[aor] = ask(pbx.sip, "REGISTER", f"sip:{_host(aor)}", f"sip:{aor}")
        except (TimeoutError, NoSipError):  # it does not speak to strangers: nor will it to the next one
            return _untried(pbx, "trust", "the PBX answers no REGISTER of a stranger")
        except (OSError, CertificateFileError) as error:
            return Finding(pbx.name, "trust", "unknown", f"{pbx.sip.pbx}: {error}")
    trusted = [aor for aor, status in statuses.items() if status.startswith("2")]
    asked = [aor for aor, status in statuses.items() if status[:3] in ("401", "407")]
    if trusted:
        detail = f"the PBX trusts this address: no password asked of {_shown(trusted)}"
        return Finding(pbx.name, "trust", "failed", detail, TRUST_HINT)
    if asked:
        return Finding(pbx.name, "trust", "ok", f"the PBX asks {_shown(asked)} for a password")
    if not statuses:
        hint = "Name an object by its AOR, or let a phone register; then this can be asked."
        return Finding(pbx.name, "trust", "unknown", "no AOR to ask for", hint)
    told = ", ".join(sorted(set(statuses.values())))
    return Finding(pbx.name, "trust", "unknown", f"asked for {_shown(list(statuses))}, the PBX said {told}")


def _known_aors(pbx: PbxEntry, facts: Facts) -> list[str]:
    """user@host of objects: those that agent.yaml names one by one, then those that have registered."""
    host = pbx.sip.domain or str(pbx.sip.pbx.address)
    named = {row.name for row in pbx.objects if row.name is not None}
    proven = [] if isinstance(facts, str) else facts.get(pbx.name, {}).get("proven", [])
    users = dict.fromkeys([*literal_aors(pbx), *(name for name in proven if name not in named)])
    return [user if "@" in user else f"{user}@{host}" for user in users]


def _host(aor: str) -> str:
    return aor.rpartition("@")[2]


def _shown(aors: list[str]) -> str:
    more = f" and {len(aors) - SHOWN} more" if len(aors) > SHOWN else ""
    return ", ".join(aors[:SHOWN]) + more


def _stores_path(pbx: PbxEntry, seen: dict[str, Any]) -> Finding:
    with_path, without = seen["with_path"], seen["without_path"]
    if without:
        detail = f"{without} requests of the PBX came without the agent's Path, {with_path} with it"
        return Finding(pbx.name, "path", "warning" if with_path else "failed", detail, PATH_HINT)
    if with_path:
        return Finding(pbx.name, "path", "ok", f"{with_path} requests of the PBX came by the agent's Path")
    hint = "Call a registered phone, then ask again; or look at its contact at the PBX: it must show a Path."
    return Finding(pbx.name, "path", "unknown", "the PBX has called nobody since the agent's start", hint)


def _keeps_contacts(pbx: PbxEntry, seen: dict[str, Any]) -> Finding:
    kept, changed = seen["contacts_kept"], seen["contacts_changed"]
    if changed:
        detail = f"{changed} of {kept + changed} registrations came back with another contact"
        return Finding(pbx.name, "contacts", "warning", detail, CONTACT_HINT)
    if kept:
        return Finding(pbx.name, "contacts", "ok", f"{kept} registrations came back with their own contact")
    detail = "nothing was newly registered since the agent's start"
    return Finding(pbx.name, "contacts", "unknown", detail)
