"""Which connections carry a registration: they may be silent as long as their phones are registered."""

from collections import Counter

from telephony.address import Flow
from telephony.output import Record


class Carriers:
    """Counts the bindings of each connection from the records of the guard; UDP has no connections."""

    def __init__(self) -> None:
        self._bindings: Counter[Flow] = Counter()
        self._flows: dict[str, tuple[Flow, ...]] = {}

    def __contains__(self, flow: Flow) -> bool:
        return flow in self._bindings

    def note(self, record: Record) -> None:
        """The bindings of one AOR are now these."""
        flows = tuple([binding.flow for binding in record.bindings if binding.flow.connection])
        for flow in self._flows.pop(record.aor, ()):
            self._bindings[flow] -= 1
            if not self._bindings[flow]:
                del self._bindings[flow]
        if flows:
            self._flows[record.aor] = flows
            self._bindings.update(flows)
