"""Emergency calls: which numbers always pass, and which objects carry one."""

from collections.abc import Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.objects import literal_aors
from telephony.countries import COUNTRIES
from telephony.emergency import ANYWHERE, EVERYWHERE


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Is the country known, and does no extension have a number that people dial in need?"""
    sip = pbx.sip
    known = ANYWHERE if sip.country is None else EVERYWHERE.union(COUNTRIES[sip.country].numbers)
    numbers = ", ".join(sorted({*known, *sip.emergency}))
    if sip.country is None:
        hint = "Write sip.country, so that all numbers of the country pass (docs/operations.md)."
        yield Finding(pbx.name, "emergency", "warning", f"no country; these pass: {numbers}", hint)
    else:
        behind = f", also behind {sip.trunk_prefix}" if sip.trunk_prefix else ""
        yield Finding(pbx.name, "emergency", "ok", f"{sip.country}: {numbers} pass{behind}")
    objects = [aor for aor in literal_aors(pbx) if aor.partition("@")[0] in sip.emergency_numbers]
    if objects:
        detail = f"objects with an emergency number: {', '.join(objects)}"
        hint = "Every phone may call them, and who needs help may reach them: give them another number."
        yield Finding(pbx.name, "extensions", "warning", detail, hint)
