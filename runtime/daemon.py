"""The shell of a daemon: uvloop, signals, systemd, and one critical line when something dies.

"When in doubt, stop" (reliability.md section 1): a failed task ends the process with exit code 1 and
systemd starts it again. Nothing here needs systemd.
"""

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import uvloop

from runtime.logs import logger

log = logger()

ADDRESS_TROUBLES = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)

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
        surprise = None if getattr(cause, "errno", None) in ADDRESS_TROUBLES else cause  # needs no traceback
        log.critical("daemon.failed", error=str(cause), kind=type(cause).__name__, exc_info=surprise)
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


def spare_the_collector() -> None:
    """Call once ready: what was made until now is never looked through for garbage again, the rest rarely.

    A full collection of a busy agent stopped it for 93 to 123 ms; our cores make no reference cycles that
    would need one. Young objects are still looked at after every 100,000; at 10,000 that was 5 % of a busy
    guard's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 1_000)


def first_cause(error: BaseException) -> BaseException:
    """The first exception inside nested groups of a TaskGroup."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class EndedEarlyError(Exception):
    """The main task returned although nobody asked the daemon to stop."""


async def _supervise(main: Main, reload: Callable[[], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    loop.add_signal_handler(signal.SIGHUP, reload or _ignore_reload)
    watchdog = asyncio.create_task(_feed_watchdog())
    try:
        await main(stop)
    finally:
        watchdog.cancel()
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
