"""What is held of the boxes that licences are bound to: whose MAC is not believed, why, and what follows."""

from licensing.box.judged import Judged, doubt, trouble
from licensing.codes import Code, hint, sentence
from licensing.installation import Pbx, normal_mac, printed_mac
from licensing.state import State


def found(state: State, name: str) -> str | None:
    """The PBX of this name, or whose box has this MAC."""
    mac = normal_mac(name)
    return next(
        (pbx for pbx in sorted(state.pbxs) if pbx == name or (mac and state.pbxs[pbx].mac == mac)), None
    )


def told(state: State, name: str) -> tuple[str, str]:
    """What is held of the MAC of this PBX, in a sentence, and what would help; empty: all is well."""
    pbx, judged = state.pbxs[name], state.boxes.get(name)
    if name not in state.bound:
        return f"No licence is bound to {_named(pbx)}.", ""
    code = trouble(pbx, judged)
    if code is None:
        return _proven(pbx, judged), ""
    counts = "do not count" if doubt(pbx, judged) else "count all the same, as the policy says"
    why = f": {judged.why}" if judged is not None and judged.mac == pbx.mac and judged.why else ""
    text = f"Licences bound to {_named(pbx)} {counts}: {sentence(code)} ({code}){why}."
    return text, _help(code)


def _proven(pbx: Pbx, judged: Judged | None) -> str:
    how = f": {judged.why}" if judged is not None and judged.why else ""
    return f"Licences bound to {_named(pbx)} count; its MAC is believed{how}."


def _named(pbx: Pbx) -> str:
    return f"{pbx.name} ({printed_mac(pbx.mac)})" if pbx.mac else f"{pbx.name} (no MAC in master.yaml)"


def _help(code: Code) -> str:
    return f"{hint(code)} What its agent sees: pbx-agent hardware."


def doubted(state: State, name: str) -> str:
    """What an operator should know of this PBX; empty where its MAC is believed or nothing is bound to it."""
    if name not in state.bound or trouble(state.pbxs[name], state.boxes.get(name)) is None:
        return ""
    return told(state, name)[0]
