"""The shell of a daemon: uvloop, signals, systemd, and one critical line when something dies.

"When in doubt, stop" (reliability.md section 1): a failed task, or an exception in a callback of the event
loop, ends the process with exit code 1 and systemd starts it again. Nothing here needs systemd.
"""

import asyncio
import errno
import gc
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import uvloop

from runtime.logs import logger
from runtime.store import StoreError

log = logger()

# What the administrator has to mend and no traceback helps with.
ADDRESS_TROUBLES = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
DISK_TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
LONGEST_ERROR = 500
STEP_DOWN_S = 5

Main = Callable[[asyncio.Event], Awaitable[None]]


def run(main: Main, *, reload: Callable[[], None] | None = None) -> None:
    """Run `main(stop)` until it ends; SIGTERM and SIGINT set `stop`, SIGHUP calls `reload`.

    Returns after a wanted stop. Raises SystemExit(1) after one critical log line when main fails, or ends
    although nobody set `stop`.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_supervise(main, reload))
    except Exception as error:  # the one place where every surprise ends
        cause = first_cause(error)
        known = isinstance(cause, StoreError) or getattr(cause, "errno", None) in (
            *ADDRESS_TROUBLES,
            *DISK_TROUBLES,
        )
        text = str(cause)[:LONGEST_ERROR]
        log.critical(
            "daemon.failed", error=text, kind=type(cause).__name__, exc_info=None if known else cause
        )
        raise SystemExit(1) from None
    log.info("daemon.stopped")


def notify(*lines: str) -> None:
    """Tell systemd something, such as "READY=1"; nothing happens where there is no NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1))


def notify_ready(status: str = "") -> None:
    """Tell systemd that the daemon serves; `status` is shown by systemctl."""
    notify("READY=1", *([f"STATUS={status}"] if status else []))


def hasten() -> None:
    """Call first: nothing is garbage before `spare_the_collector`; looking for it is a tenth of a start."""
    gc.disable()


def spare_the_collector() -> None:
    """Call once ready: what was made until now is never looked through for garbage again, the rest rarely.

    Nor is it looked through now: a start leaves next to no garbage, and the look took 5 % of an agent's.
    A full collection of a busy agent stopped it for 93 to 123 ms; our cores make no reference cycles that
    would need one. Young objects are still looked at after every 100,000; at 10,000 that was 5 % of a busy
    guard's time. All that is older follows after 1,000 such looks: `sweep` must not bring it nearer.
    """
    gc.enable()
    gc.freeze()
    gc.set_threshold(100_000, 1_000, 1_000)


def sweep() -> None:
    """Call after a library that leaves cycles: young objects are looked through, up to 7 ms for 100,000."""
    gc.collect(0)


def first_cause(error: BaseException) -> BaseException:
    """The first exception inside nested groups of a TaskGroup."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class EndedEarlyError(Exception):
    """The main task returned although nobody asked the daemon to stop."""


class _Surprises:
    """What the event loop calls when a callback raises, or a task died that nobody waited for.

    asyncio would log it and go on with half a decision made. The first one ends `main`; if that takes
    too long, the process ends all the same.
    """

    def __init__(self, main: asyncio.Task[Any] | None) -> None:
        self.first: Exception | None = None
        self._main = main

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Exception) or _of_one_connection(context, error):
            log.warning("loop.complained", text=str(context.get("message", ""))[:LONGEST_ERROR])
        elif self.first is None:
            self.first = error
            loop.call_later(STEP_DOWN_S, os._exit, 1)
            if self._main is not None:
                self._main.cancel()


def _thread_died(loop: asyncio.AbstractEventLoop, died: threading.ExceptHookArgs) -> None:
    """A thread that nobody waited for: as bad as a callback of the loop, while there is one."""
    name = died.thread.name if died.thread is not None else ""
    try:
        loop.call_soon_threadsafe(loop.call_exception_handler, {"exception": died.exc_value, "message": name})
    except RuntimeError:  # the loop has ended
        log.warning("thread.failed", thread=name, error=str(died.exc_value)[:LONGEST_ERROR])


def _of_one_connection(context: dict[str, Any], error: Exception) -> bool:
    """A connection that broke is its peers' affair; OSError is also what TLS says of a handshake."""
    return isinstance(error, OSError) and not context.keys().isdisjoint(("transport", "protocol", "socket"))


async def _supervise(main: Main, reload: Callable[[], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    loop.add_signal_handler(signal.SIGHUP, reload or _ignore_reload)
    watchdog = asyncio.create_task(_feed_watchdog())
    surprises = _Surprises(asyncio.current_task())
    loop.set_exception_handler(surprises)
    threading.excepthook = partial(_thread_died, loop)
    try:
        await main(stop)
    except asyncio.CancelledError:
        if not surprises.first:
            raise
    finally:
        watchdog.cancel()
    if surprises.first:
        raise surprises.first
    if not stop.is_set():
        raise EndedEarlyError("the main task ended although nobody asked it to")


def _ignore_reload() -> None:
    log.warning("reload.ignored", hint="this program reads its configuration only at start")


def _stop(stop: asyncio.Event) -> None:
    log.info("daemon.stopping")
    notify("STOPPING=1")
    stop.set()


async def _feed_watchdog() -> None:
    """Sign of life at half of WatchdogSec, from the event loop: a loop that hangs is killed."""
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    while microseconds:
        notify("WATCHDOG=1")
        await asyncio.sleep(microseconds / 2_000_000)
