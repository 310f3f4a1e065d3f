"""Every bug that a harness must catch: what went wrong elsewhere (docs/reliability.md), our rules undone."""

from tests.planted.bugs import (
    answers,
    calls,
    channels,
    chaos,
    classes,
    doors,
    drivers,
    files,
    hardware,
    kamailio,
    protocol,
    rules,
    scenario,
    services,
    storage,
    terms,
)

BUGS = (
    *protocol.BUGS,
    *services.BUGS,
    *rules.BUGS,
    *storage.BUGS,
    *chaos.BUGS,
    *doors.BUGS,
    *files.BUGS,
    *answers.BUGS,
    *terms.BUGS,
    *classes.BUGS,
    *scenario.BUGS,
    *calls.BUGS,
    *drivers.BUGS,
    *kamailio.BUGS,
    *channels.BUGS,
    *hardware.BUGS,
)
