"""The call records of a spool on their way to somebody else: small files in the order of arrival."""

from typing import Final

from agent.store.cdr_row import cdr_of
from agent.store.spool import Spool
from runtime.push import Parcel
from telephony.cdr.columns import Form, file_text
from telephony.cdr.wire import MAX_RECORDS, Record

MARK: Final = "pushed"


class SpoolOutbox:
    """One spool's records; what could not be read stays out, and a record that is replayed goes out again."""

    def __init__(self, spool: Spool, form: Form, pbx: str) -> None:
        self._spool = spool
        self._form = form
        self._pbx = pbx

    async def pushed(self) -> int:
        """The number of the last entry that is there; StoreError."""
        return await self._spool.mark(MARK)

    async def behind(self, number: int) -> Parcel | None:
        """The next file; StoreError."""
        rows = await self._spool.records_behind(number, MAX_RECORDS)
        if not rows:
            return None
        cdrs = [cdr_of(record) for row in rows if isinstance(record := row.read(), Record)]
        name = f"{self._pbx}-{self._spool.name[:8]}-{rows[0].n}-{rows[-1].n}"
        return Parcel(name, file_text(cdrs, self._form).encode(), rows[-1].n)

    async def keep(self, number: int) -> None:
        """On disk when it returns; StoreError."""
        await self._spool.keep_mark(MARK, number)
