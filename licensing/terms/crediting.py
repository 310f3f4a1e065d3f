"""The balances of SSC and iSC: bought, paid, set to what the vendor's portal says (8.1, 8.4)."""

from licensing.codes import Code, Refusal
from licensing.ledger import AnyEvent, replay
from licensing.state import State
from licensing.terms import renting
from licensing.terms.credit import PRINTED, Unit
from licensing.terms.term_events import Adjusted, Credited, Debited


def credit(state: State, unit: Unit, amount: int, why: str, today: int, by: str) -> list[AnyEvent]:
    """Credits were bought; rented units that stopped for want of iSC count again at once."""
    return [*_rent(state, unit, today), Credited(unit, amount, why, by, today)]


def debit(state: State, unit: Unit, amount: int, why: str, today: int, by: str) -> list[AnyEvent] | Refusal:
    """Credits were spent on what this master does not know of; `credit_short` when they are not there."""
    events = _rent(state, unit, today)
    have = replay(events, state).book.balance(unit)
    if amount > have:
        return Refusal(Code.CREDIT_SHORT, f"{amount} {PRINTED[unit]} are to be taken, {have} are there")
    return [*events, Debited(unit, amount, why, by, today)]


def adjust(state: State, unit: Unit, balance: int, why: str, today: int, by: str) -> list[AnyEvent]:
    """The balance is this from now on: the vendor's portal decides."""
    return [*_rent(state, unit, today), Adjusted(unit, balance, why, by, today)]


def _rent(state: State, unit: Unit, today: int) -> list[AnyEvent]:
    """Rent of the days before is taken first, and none for days on which rented units did not count."""
    return (renting.taken(state, today) or renting.skipped(state, today)) if unit == "isc" else []
