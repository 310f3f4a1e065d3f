"""baresip as the phone of a user: steered and watched through its `ctrl_tcp` module.

It registers when its account is made (`register`) and un-registers when the account is deleted
(`unregister`): baresip 1.0.0 has no other words for it. A killed phone (`kill`) un-registers nothing.
"""

import json
import re
import socket
import threading
import wave
from dataclasses import dataclass

from tests.acceptance.peers.network import Network, program, written
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until

CONTROL_PORT = 4444

CONFIGURATION = """sip_listen {host}:{port}
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control}
audio_source aufile,{folder}/in.wav
audio_player aufile,{folder}/out.wav
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
call_max_calls 4
"""


@dataclass(frozen=True, slots=True)
class Event:
    """What baresip reported: REGISTER_OK, REGISTER_FAIL, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, …"""

    kind: str
    account: str
    text: str  # of a failure: `403 No free licence`


class Baresip(Program):
    """A phone with an address of its own; ready when it takes commands, registered after `register`.

    `domain` is the host of its AOR, `proxy` the address that every request goes to first (the guard), `tls`
    lines of its configuration that name certificates, `dns` the server that it asks for SRV records.
    """

    def __init__(
        self,
        network: Network,
        user: str,
        domain: str,
        *,
        proxy: str | None = None,
        password: str | None = None,
        expires_s: int = 60,
        answers: bool = True,
        host: str | None = None,
        transport: str = "udp",
        tls: str = "",
        dns: str | None = None,
    ) -> None:
        """Describe the phone; without `password` it is `pw<user>`, with `answers` it picks up by itself."""
        self.host = host or network.address()
        self._settings = tls + (f"dns_server {dns}:53\n" if dns else "")
        self.aor = f"sip:{user}@{domain}"
        self._network = network
        route = f';outbound="sip:{proxy};lr;transport={transport}"' if proxy else ""
        self.account = (
            f"<{self.aor};transport={transport}>;auth_user={user};auth_pass={password or 'pw' + user}"
            f";regint={expires_s};answermode={'auto' if answers else 'manual'};audio_codecs=PCMU{route}"
        )
        self._events: list[Event] = []
        self._answers: list[str] = []
        folder = network.folder / f"phone-{user}-{self.host}".replace(":", "-")
        super().__init__("baresip", [program("baresip"), "-f", str(folder), "-v"], folder, network)

    def start(self) -> None:
        """Write the configuration, start, and open the control connection."""
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {"host": written(self.host), "control": CONTROL_PORT, "folder": self.folder}
        (self.folder / "config").write_text(CONFIGURATION.format(port=5060, **values) + self._settings)
        (self.folder / "accounts").touch()
        (self.folder / "contacts").touch()
        self._write_sound()
        super().start()
        self.wait_for("baresip is ready")
        self._control = until(self._connect, what="baresip's control port")
        self._reader = threading.Thread(target=self._read, args=(self._control,), name=self.aor)
        self._reader.start()

    def _write_sound(self) -> None:
        """Write ten seconds of 8 kHz audio: `ausine` works at 48 kHz only."""
        with wave.open(str(self.folder / "in.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(b"\x00\x00\x00\x10" * 40_000)

    def _connect(self) -> socket.socket | None:
        try:
            return self._network.connect(self.host, CONTROL_PORT)
        except OSError:
            return None

    def _read(self, control: socket.socket) -> None:
        """Collect netstrings until the phone ends; it repeats nothing."""
        control.settimeout(None)
        pending = b""
        while True:
            try:
                read = control.recv(65536)
            except OSError:
                return
            if not read:
                return
            pending += read
            while (head := re.match(rb"(\d+):", pending)) and len(pending) > head.end() + int(head[1]):
                end = head.end() + int(head[1])
                self._take(json.loads(pending[head.end() : end].decode(errors="replace")))
                pending = pending[end + 1 :]

    def _take(self, message: dict[str, str]) -> None:
        if "event" in message:
            account, text = message.get("accountaor", ""), message.get("param", "")
            self._events.append(Event(message["type"], account, text))
        else:
            self._answers.append(message.get("data", ""))

    def end(self, within_s: float = 10.0) -> int | None:
        """SIGTERM: baresip un-registers and ends."""
        code = super().end(within_s)
        self._disconnect()
        return code

    def kill(self) -> None:
        """SIGKILL: the PBX keeps the binding until it expires."""
        super().kill()
        self._disconnect()

    def _disconnect(self) -> None:
        if hasattr(self, "_control"):
            self._control.close()
            self._reader.join()

    def command(self, command: str, parameters: str = "") -> str:
        """Send a command of baresip's menu and return its answer."""
        expected = len(self._answers) + 1
        text = json.dumps({"command": command, "params": parameters, "token": "t"})
        self._control.sendall(f"{len(text)}:{text},".encode())
        until(lambda: len(self._answers) >= expected, what=f"baresip's answer to {command}")
        return self._answers[-1]

    @property
    def events(self) -> list[Event]:
        """Return everything it has reported since its first start."""
        return list(self._events)

    def wait_event(self, kind: str, *, after: int = 0, within_s: float = 10.0) -> Event:
        """Return the first event whose kind matches the pattern, not looking at the first `after` events."""

        def seen() -> Event | None:
            return next((event for event in self._events[after:] if re.fullmatch(kind, event.kind)), None)

        return until(seen, within_s, f"{kind} from {self.aor}; it said {self._events[after:]}")

    def register(self, within_s: float = 10.0) -> Event:
        """Make the account, which registers; return REGISTER_OK or REGISTER_FAIL (`text` has the status)."""
        before = len(self._events)
        self.command("uanew", self.account)
        return self.wait_event("REGISTER_OK|REGISTER_FAIL", after=before, within_s=within_s)

    def unregister(self) -> None:
        """Delete the account: REGISTER with expires 0 leaves at once, nothing reports its answer."""
        self.command("uadel", self.aor)

    def call(self, target: str) -> None:
        """Dial a number or a SIP URI; CALL_ESTABLISHED or CALL_CLOSED follow."""
        self.command("dial", target)

    def hang_up(self) -> None:
        """End the current call."""
        self.command("hangup")
