"""Which agents should sync now, and the long polls that wait to hear it."""

import asyncio


class Wakes:
    """One pending flag and at most one waiting long poll per agent; in memory only, a sync settles it.

    A wake that finds nobody waiting is kept for the next poll, so that none is lost between two polls.
    """

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._closed = False

    @property
    def listening(self) -> int:
        """Agents that would hear of a wake at once."""
        return len(self._waiting)

    def wake(self, agent: str) -> None:
        """Ask this agent to sync."""
        self._pending.add(agent)
        self._answer(agent, True)

    def settle(self, agent: str) -> None:
        """This agent syncs now: what it was woken for is in its next answer."""
        self._pending.discard(agent)

    async def wait(self, agent: str, seconds: float) -> bool:
        """True when the agent should sync; False after `seconds`, or when a newer poll takes over."""
        if agent in self._pending:
            return True
        if self._closed:
            return False
        self._answer(agent, False)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[agent] = future
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return False
        finally:
            if self._waiting.get(agent) is future:
                del self._waiting[agent]

    def close(self) -> None:
        """End every poll now and later, so that the server can stop at once."""
        self._closed = True
        for agent in tuple(self._waiting):
            self._answer(agent, False)

    def _answer(self, agent: str, wake: bool) -> None:
        future = self._waiting.pop(agent, None)
        if future is not None and not future.done():
            future.set_result(wake)
