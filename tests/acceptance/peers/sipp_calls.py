"""SIPp as phones that call and are called: one registers and answers, the other calls, through a proxy.

Who answers keeps the one connection by which it registered: the calls must find it there.
"""

import csv

from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.sipp import SEND, scenario

SDP = """v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio 40000 RTP/AVP 0"""

INVITE = """INVITE sip:[field0]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:[service]@[local_ip]:[local_port];transport=[transport]>
Content-Type: application/sdp
Content-Length: [len]

"""

IN_DIALOG = """{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} {method}
Content-Length: 0"""

CALLS = f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="call">
<send retrans="500"><![CDATA[
{INVITE}{SDP}
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
{SEND.format(text=IN_DIALOG.format(method="ACK", cseq=1)).replace(' retrans="500"', "")}
{SEND.format(text=IN_DIALOG.format(method="BYE", cseq=2))}
<recv response="200"/>
</scenario>
"""

ANSWER = """SIP/2.0 200 OK
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:]{tag}
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
"""

ANSWERS = f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="answer">
<recv request="INVITE"/>
<send retrans="500"><![CDATA[
{ANSWER.format(tag=";tag=[call_number]")}Content-Type: application/sdp
Content-Length: [len]

{SDP}
]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[
{ANSWER.format(tag="")}Content-Length: 0

]]></send>
</scenario>
"""

STAY = '<pause milliseconds="1500000"/>\n</scenario>'

# A caller that stays in its call for a while, and hears when there is no channel for it.
ACKED = """<send><![CDATA[
ACK sip:[field0]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
Max-Forwards: 70
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>"""


def staying(hold_ms: int) -> str:
    """The scenario of callers that hold their line so long, or are refused."""
    answered = '<recv response="200" rrs="true"/>'
    refused = '<recv response="403" optional="true" next="1"/>\n' + answered
    acked, bye, over = CALLS.replace(answered, refused).partition('<send retrans="500"><![CDATA[\nBYE')
    hold = f'<pause milliseconds="{hold_ms}"/>\n'
    end = f'<nop next="2"/>\n<label id="1"/>\n{ACKED}\n<label id="2"/>\n</scenario>'
    return acked + hold + bye + over.replace("</scenario>", end)


class Answerer(Program):
    """Registers one user and answers every call to it, for 25 minutes."""

    def __init__(
        self, network: Network, user: str, registrar: tuple[str, int], proxy: tuple[str, int], transport: str
    ) -> None:
        """Describe it; `transport` is u1 or t1."""
        self.host = network.address()
        self._user = user
        command = _command(registrar, proxy, self.host, transport)
        command += ["-sf", "register.xml", "-oocsf", "answer.xml", "-m", "1"]
        super().__init__("sipp", command, network.folder / f"answerer-{user}", network)

    def start(self) -> None:
        """Write what it does, and start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        registering = scenario(1_500)
        assert registering.endswith("</scenario>\n")
        (self.folder / "register.xml").write_text(registering.replace("</scenario>\n", STAY))
        (self.folder / "answer.xml").write_text(ANSWERS)
        line = f"{self._user};[authentication username={self._user} password=pw{self._user}]"
        (self.folder / "users.csv").write_text(f"SEQUENTIAL\n{line}\n")
        super().start()


class Caller(Program):
    """Calls a user so many times; `finish` waits for the end and returns how many calls went right.

    `rate` calls begin each second; with `scenario` they do something else than hang up at once.
    """

    def __init__(
        self,
        network: Network,
        callee: str,
        registrar: tuple[str, int],
        proxy: tuple[str, int],
        transport: str,
        calls: int,
        *,
        rate: int = 20,
        scenario: str = CALLS,
    ) -> None:
        """Describe it; `transport` is u1, t1 or tn."""
        host = network.address()
        self._callee = callee
        self._scenario = scenario
        command = _command(registrar, proxy, host, transport)
        command += ["-sf", "call.xml", "-s", "1999", "-m", str(calls), "-r", str(rate)]
        command += ["-trace_stat", "-stf", "statistics.csv", "-fd", "1"]
        super().__init__("sipp", command, network.folder / f"caller-{host}", network)

    def start(self) -> None:
        """Write what it does, and start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "call.xml").write_text(self._scenario)
        (self.folder / "users.csv").write_text(f"SEQUENTIAL\n{self._callee};\n")
        super().start()

    def finish(self, within_s: float = 30.0) -> int:
        """Return the number of whole calls."""
        code = self.wait(within_s)
        assert code in (0, 1), f"SIPp ended with {code}:\n{self.log[-2000:]}"
        with (self.folder / "statistics.csv").open(newline="") as file:
            return int(list(csv.DictReader(file, delimiter=";"))[-1]["SuccessfulCall(C)"])


def _command(registrar: tuple[str, int], proxy: tuple[str, int], host: str, transport: str) -> list[str]:
    command = [program("sipp"), f"{registrar[0]}:{registrar[1]}", "-rsa", f"{proxy[0]}:{proxy[1]}"]
    command += [
        "-i",
        host,
        "-p",
        "5060",
        "-t",
        transport,
        "-inf",
        "users.csv",
        "-nostdin",
        "-max_socket",
        "1000",
    ]
    return [*command, "-trace_err", "-error_file", "errors.log"]
