"""SIPp as many phones at once: each registers with digest, and the answers are counted.

One UDP socket sends for all phones (they differ by user and Call-ID). The contact of a user is the same in
every run from the same `host` and `port`, so a run with `expires_s=0` un-registers an earlier one.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Program

REGISTER = """REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[field0]@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: {cseq} REGISTER
Contact: <sip:[field0]@[local_ip]:{port}>
{authorization}Expires: {expires_s}
User-Agent: SIPp
Content-Length: 0"""

SEND = """<send retrans="500"><![CDATA[
{text}

]]></send>"""

SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="register">
{challenged}
<recv response="100" optional="true"/>
<recv response="403" optional="true" next="1"/>
<recv response="503" optional="true" next="1"/>
<recv response="404" optional="true" next="1"/>
<recv response="401" auth="true"/>
{authorized}
<recv response="100" optional="true"/>
<recv response="403" optional="true" next="1"/>
<recv response="503" optional="true" next="1"/>
<recv response="404" optional="true" next="1"/>
<recv response="200"/>
<label id="1"/>
</scenario>
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the phones: how often each final status came, and how many saw something else."""

    statuses: dict[int, int]
    unexpected: int

    @property
    def admitted(self) -> int:
        """Return the number of 200."""
        return self.statuses.get(200, 0)

    @property
    def refused(self) -> int:
        """Return the number of 403 and 503."""
        return self.statuses.get(403, 0) + self.statuses.get(503, 0)


def scenario(expires_s: int, port: int = 5060) -> str:
    """Return the scenario: REGISTER, 401, REGISTER with credentials, 200 or a refusal."""
    same = {"expires_s": expires_s, "port": port}
    first = REGISTER.format(cseq=1, authorization="", **same)
    second = REGISTER.format(cseq=2, authorization="[field1]\n", **same)
    return SCENARIO.format(challenged=SEND.format(text=first), authorized=SEND.format(text=second))


class Sipp(Program):
    """One run of SIPp: `start` (or `with`) and then `counts`, which waits for its end.

    `users` register at `registrar` (host, port); every datagram goes to `proxy` if given. `rate` phones begin
    each second, `at_once` may be under way. Without `password` the one of user N is `pwN`.
    """

    def __init__(
        self,
        network: Network,
        users: Sequence[str],
        registrar: tuple[str, int],
        *,
        proxy: tuple[str, int] | None = None,
        password: str | None = None,
        expires_s: int = 600,
        rate: int = 200,
        at_once: int = 1000,
        host: str | None = None,
        port: int = 5060,
        name: str = "sipp",
        transport: str = "u1",
    ) -> None:
        """Describe the run; `transport` is u1, or for TCP t1 (one connection) or tn (one each)."""
        self.host = host or network.address()
        self._users = users
        self._password = password
        self._expires_s = expires_s
        self._port = port
        folder = network.folder / f"{name}-{self.host}"
        command = [program("sipp"), f"{registrar[0]}:{registrar[1]}", "-i", self.host, "-p", str(port)]
        if proxy is not None:
            command += ["-rsa", f"{proxy[0]}:{proxy[1]}"]
        command += ["-max_socket", "1000", "-t", transport, "-sf", "scenario.xml", "-inf", "users.csv"]
        command += ["-m", str(len(users)), "-r", str(rate), "-l", str(at_once), "-nostdin"]
        command += ["-trace_counts", "-trace_stat", "-stf", "statistics.csv"]
        command += ["-fd", "1", "-trace_err", "-error_file", "errors.log", "-buff_size", "1000000"]
        super().__init__(name, command, folder, network)

    def start(self) -> None:
        """Write scenario and users, and start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("scenario_*_counts.csv"):
            old.unlink()
        (self.folder / "scenario.xml").write_text(scenario(self._expires_s, self._port))
        lines = ["SEQUENTIAL"]
        for user in self._users:
            password = self._password or f"pw{user}"
            lines.append(f"{user};[authentication username={user} password={password}]")
        (self.folder / "users.csv").write_text("\n".join(lines) + "\n")
        super().start()

    def counts(self, within_s: float = 60.0) -> Counts:
        """Wait for the end of the run and return how often each final answer came."""
        code = self.wait(within_s)
        assert code in (0, 1), f"SIPp ended with {code}:\n{self.log[-2000:]}"
        (path,) = self.folder.glob("scenario_*_counts.csv")
        with path.open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        statuses: Counter[int] = Counter()
        for column, value in last.items():
            received = re.fullmatch(r"\d+_(\d+)_Recv", column or "")
            if received and received[1] not in ("100", "401"):
                statuses[int(received[1])] += int(value)
        return Counts({status: n for status, n in statuses.items() if n}, self._failed())

    def _failed(self) -> int:
        """Return the number of phones whose answers did not fit the scenario (a second 401, no answer)."""
        with (self.folder / "statistics.csv").open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        return int(last["FailedCall(C)"])


def users(first: int, count: int) -> list[str]:
    """Return the names of `count` users from `first` on: users(1000, 3) is 1000, 1001, 1002."""
    return [str(number) for number in range(first, first + count)]
