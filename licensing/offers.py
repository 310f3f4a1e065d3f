"""The licences that are asked for by name: what a master's catalogue offers, and what an agent makes of it.

The master tells them by policy, so that a new row of its catalogue reaches agents that were made before it.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from licensing.codes import Code, Refusal
from licensing.demand import CONFERENCE_LEG, MONITORED_QUEUE, OPERATOR_LOGIN, RELAY_CHANNEL, DemandClass
from licensing.wire import Policy, UseClass

PER_CALL: Final = "floating_call"
PER_LOGIN: Final = "floating_login"
PER_QUEUE: Final = "per_queue"

CHANNELS: Final = "pbx-channels"
OPERATOR: Final = "operator"
QUEUE_MONITOR: Final = "queue-monitor"

_SAID: Final = {
    PER_CALL: "taken per call",
    PER_LOGIN: "taken per login",
    PER_QUEUE: "taken per watched queue",
}

BEFORE: Final[Mapping[str, UseClass]] = {
    CHANNELS: UseClass(PER_CALL, CONFERENCE_LEG),
    OPERATOR: UseClass(PER_LOGIN, OPERATOR_LOGIN, by_client=True),
    QUEUE_MONITOR: UseClass(PER_QUEUE, MONITORED_QUEUE, by_client=True, per_client=2),
}
"""What a master lends that is from before `Policy.uses`, or has not answered since."""


def offered(classes: Iterable[DemandClass]) -> dict[str, UseClass]:
    """What the policy of every PBX says of these classes."""
    return {
        each.licence: UseClass(each.mode, each.name, each.by_client, each.per_client)
        for each in classes
        if each.licence
    }


def uses(policy: Policy) -> Mapping[str, UseClass]:
    """The licences that may be asked for by name."""
    return policy.uses or BEFORE


def chosen(known: Mapping[str, UseClass], mode: str, licence: str) -> UseClass | Refusal:
    """The licence of this name and mode; `invalid_type` with those that there are."""
    use = known.get(licence)
    if use is not None and use.mode == mode:
        return use
    there = [name for name, each in known.items() if each.mode == mode]
    near = get_close_matches(licence, there, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    wanted = f"expected a licence that is {_SAID[mode]} ({', '.join(there)})"
    return Refusal(Code.INVALID_TYPE, f'{wanted}, found "{licence}"{meant}')


def compares_clients(policy: Policy, class_: str) -> bool:
    """Whether the units of a class are compared with each client, and not with the PBX (7.1, 7.2, L.r4)."""
    return any(use.by_client for use in uses(policy).values() if use.class_ == class_)


def on_demand(policy: Policy, class_: str) -> bool:
    """Whether a site asks for none of a class before its first use: no spare of what nobody there uses.

    All that is asked for by name, but for the channels of conferences, which every site has ready.
    """
    named = any(use.class_ == class_ for use in uses(policy).values())
    return class_ == RELAY_CHANNEL or (named and class_ != CONFERENCE_LEG)
