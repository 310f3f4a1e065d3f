"""The program `nft`: loads tables, deletes them, and says what is loaded. It needs CAP_NET_ADMIN."""

import json
import os
import shutil
import subprocess
from typing import Any

TIMEOUT_S = 10.0
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class FirewallError(Exception):
    """The kernel's tables could not be read or changed; the message says what to do."""


class MissingError(FirewallError):
    """There is no `nft` on this host."""


class ForbiddenError(FirewallError):
    """The kernel does not let this user."""


def load(ruleset: str) -> None:
    """Load a ruleset whole, or nothing of it."""
    _run("-f", "-", text=ruleset)


def delete(table: str) -> None:
    """Take a table out."""
    _run("delete", "table", "inet", table)


def tables(prefix: str) -> list[str]:
    """The names of the loaded tables that begin so, without the prefix."""
    listed = _listed("list", "tables", "inet")
    names = [entry["table"]["name"] for entry in listed if "table" in entry]
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def table(name: str) -> list[dict[str, Any]]:
    """What a loaded table holds, in nft's own JSON."""
    return _listed("list", "table", "inet", name)


def _listed(*words: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(_run("--json", *words))["nftables"]
    return listed


def _run(*words: str, text: str | None = None) -> str:
    program = shutil.which("nft", path=SEARCH_PATH)
    if program is None:
        raise MissingError("nft is not installed: apt install nftables (or dnf, zypper)")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, words of our own
            [program, *words],
            input=text or "",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"{program}: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split())
    if "Operation not permitted" in said:
        raise ForbiddenError("the kernel's tables are root's: run this as root (it needs CAP_NET_ADMIN)")
    raise FirewallError(f"nft {' '.join(words)}: {said[:500]}")
