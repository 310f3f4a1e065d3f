"""The box that licences are bound to: is its MAC proven, and do they count?"""

from collections.abc import Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.objects import Facts
from licensing.codes import Code, hint
from licensing.installation import printed_mac


def checks(pbx: PbxEntry, facts: Facts) -> Iterator[Finding]:
    """What the running agent and its master hold of the MAC; nothing where no licence is bound to one."""
    box = None if isinstance(facts, str) else facts.get(pbx.name, {}).get("box")
    if box is None or box["mac"] is None:
        return
    mac, why = printed_mac(box["mac"]) or "no MAC in master.yaml", box["why"] or "nothing was seen yet"
    if not box["code"]:
        yield Finding(pbx.name, "hardware", "ok", f"{mac}: {box['state']}, {why}")
        return
    counts = "counts all the same" if box["counts"] else "does not count"
    help_ = hint(Code(box["code"])) if box["code"] in {*Code} else "See licence-master history."
    detail = f"{mac}: {box['code']}, {why}; what is bound to it {counts}"
    yield Finding(pbx.name, "hardware", "warning" if box["counts"] else "failed", detail, help_)
