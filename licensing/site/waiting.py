"""How a wait ends when no unit came: refused by the master, or by the away policy, or excused.

A local shortage is not a refusal. Only a denial with nothing on its way (`recalling` 0), in the answer to
a sync asked after the wait began, ends it early; else it ends after 2,000 ms (sip-guard "What it must
do"). Whoever only waits for its turn, since units are there but too many newcomers have reserved some,
waits longer: a storm of new phones takes its time.
"""

from dataclasses import replace

from licensing.codes import Code
from licensing.site.decision import RESERVED, WAITING, Decision, refused
from licensing.site.occupancy import Event, Occupancy, Seat
from licensing.site.seating import Seating

WAIT_MS = 2_000
TURN_MS = 10_000  # a phone repeats its REGISTER for 32 s (RFC 3261, timer F)
MAX_WAITING = 10_000


def wait(seating: Seating, seat: Seat, now_ms: int) -> Decision:
    """Hold the request until a unit comes, a denial, or the end of patience; too many may not wait."""
    if seating.waiting >= MAX_WAITING:
        return refuse(seating, seat, Code.RATE_LIMITED, 503, now_ms)
    seat.turn = seating.asks
    seating.timer(seat, now_ms + WAIT_MS)
    seating.move(seat, Event.SHORT, now_ms)
    return WAITING


def deny(seating: Seating, occupancy: Occupancy, now_ms: int) -> None:
    """End the waits that a denial in the latest answer refuses."""
    denial = occupancy.denial
    if denial is None or denial.recalling > 0:
        return
    for seat in occupancy.short():
        if seat.turn < seating.covered:
            code = reason(occupancy)
            seating.settled[seat.name] = refuse(seating, seat, code, seating.policy.refuse, now_ms)


def conclude(seating: Seating, occupancy: Occupancy, now_ms: int) -> None:
    """End the waits whose patience is over: for the master's reason, or as the away policy says."""
    first = occupancy.first_waiting()
    if first is None or first.until_ms > now_ms:
        return
    short = {seat.name for seat in occupancy.short()}
    for seat in list(occupancy.patience.values()):
        if seat.until_ms > now_ms:
            break
        if seat.name not in short and now_ms - seat.since_ms < TURN_MS:
            occupancy.wait_on(seat, now_ms + WAIT_MS)
        else:
            seating.settled[seat.name] = _concluded(seating, occupancy, seat, seat.name in short, now_ms)


def _concluded(seating: Seating, occupancy: Occupancy, seat: Seat, short: bool, now_ms: int) -> Decision:
    policy = seating.policy
    if not short:
        return refuse(seating, seat, Code.RATE_LIMITED, 503, now_ms)
    if seat.turn < seating.covered:
        return refuse(seating, seat, reason(occupancy), policy.refuse, now_ms)
    code = (occupancy.blocked if occupancy.closed else None) or Code.MASTER_AWAY
    if policy.away == "report":
        return excuse(seating, seat, code, now_ms)
    return refuse(seating, seat, code, policy.refuse if seating.synced else 503, now_ms)


def reason(occupancy: Occupancy) -> Code:
    """Why there is no unit: the master's word where it gave one that is known here."""
    denial = occupancy.denial
    if denial is not None:
        try:
            return Code(denial.code)
        except ValueError:
            return Code.NO_FREE_LICENCE
    return occupancy.blocked or Code.NO_FREE_LICENCE


def refuse(seating: Seating, seat: Seat, code: Code, status: int, now_ms: int) -> Decision:
    """No, or where nothing is refused, yes and a report."""
    if seat.tentative:
        return _declined(seating, seat, code, status, now_ms, excused=seating.lenient)
    if seating.lenient:
        return excuse(seating, seat, code, now_ms)
    seating.want(seat.class_).refuse()
    seating.move(seat, Event.DENIED, now_ms, code)
    return refused(seat.name, code, status)


def excuse(seating: Seating, seat: Seat, code: Code, now_ms: int) -> Decision:
    """Admit without a unit, and report what would have refused it."""
    if seat.tentative:
        return _declined(seating, seat, code, seating.policy.refuse, now_ms, excused=True)
    seat.excused = seating.answers
    seating.move(seat, Event.EXCUSED, now_ms, code)
    return RESERVED


def _declined(
    seating: Seating, seat: Seat, code: Code, status: int, now_ms: int, *, excused: bool
) -> Decision:
    """This class has no unit: neither counted nor told before who asked has heard it."""
    seating.move(seat, Event.DECLINED, now_ms)
    return replace(refused(seat.name, code, status), excused=excused)
