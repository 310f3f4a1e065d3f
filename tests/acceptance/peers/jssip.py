"""JsSIP as the phone in a browser, over WebSocket: signalling only, its media engine is a stub (phone.js).

It is installed from npm, at the versions and sums of package-lock.json, into `.cache/jssip`.
"""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.acceptance.peers.installed import ROOT
from tests.acceptance.peers.network import Network, program, written
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until

HERE = Path(__file__).with_name("browser")
CACHE = ROOT / ".cache" / "jssip"


def install() -> Path:
    """Return the folder of the node modules, installed if need be; CalledProcessError says why not."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        locked = CACHE / "package-lock.json"
        fresh = (HERE / "package-lock.json").read_bytes()
        if not (CACHE / "node_modules" / "jssip").exists() or locked.read_bytes() != fresh:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, CACHE / name)
            subprocess.run(
                [program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)],
                check=True,
                capture_output=True,
                timeout=100,
            )
    return CACHE / "node_modules"


class Jssip(Program):
    """A browser phone with an address of its own; ready when its WebSocket stands or failed.

    `domain` is the host of its AOR, `door` the WebSocket URL of the guard, `authority` whom it believes.
    """

    def __init__(
        self,
        network: Network,
        user: str,
        domain: str,
        door: str,
        *,
        expires_s: int = 60,
        authority: Path | None = None,
    ) -> None:
        """Describe the phone; its password is `pw<user>`."""
        self.aor = f"sip:{user}@{domain}"
        host, folder = network.address(), network.folder / f"jssip-{user}"
        self._orders = folder / "orders"
        settings = {
            "url": door, "uri": self.aor, "user": user, "password": f"pw{user}", "expires_s": expires_s,
            "host": host, "orders": str(self._orders),
        }  # fmt: skip
        environment = {"NODE_PATH": str(install())}
        if authority is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(authority)
        command = [program("node"), str(HERE / "phone.js"), json.dumps(settings)]
        super().__init__("jssip", command, folder, network, environment=environment)

    def start(self) -> None:
        """Start, and wait for the connection, or its failure."""
        self.folder.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self._orders)
        self._pipe = os.open(self._orders, os.O_RDWR)
        super().start()
        self.wait_event("connected", "disconnected")

    def kill(self) -> None:
        """SIGKILL."""
        super().kill()
        if self._orders.exists():
            os.close(self._pipe)
            self._orders.unlink()

    def order(self, what: str, **facts: Any) -> None:
        """Tell it to `register`, `unregister`, `call`, `hang_up`, `send_options`."""
        os.write(self._pipe, json.dumps({"do": what, **facts}).encode() + b"\n")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return everything it has reported since its start."""
        whole, _, _ = self.log.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_event(self, *names: str, after: int = 0, within_s: float = 10.0) -> dict[str, Any]:
        """Return the first event of one of these names, not looking at the first `after` events."""

        def seen() -> dict[str, Any] | None:
            return next((event for event in self.events[after:] if event["event"] in names), None)

        return until(seen, within_s, f"{names} from {self.aor}; it said {self.events[after:]}")

    def register(self) -> int:
        """Register; return the status of the answer."""
        before = len(self.events)
        self.order("register")
        status: int = self.wait_event("registered", "refused", after=before)["status"]
        return status


def url(transport: str, door: tuple[str, int]) -> str:
    """Return the URL of a WebSocket listener."""
    return f"{transport}://{written(door[0])}:{door[1]}"
