"""CPU time per counted call of `pbx-agent run` as shipped, beside a Kamailio whose dialog module counts them.

SIPp calls a gateway (SIPp, too) through each of them and the same Kamailio as PBX: INVITE, 200, BYE,
each twice through the proxy, which counts calls towards the gateway and would refuse the one too many.
The agent keeps each call on disk, Kamailio its dialogs in memory.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from bench.sip import KAMAILIO_MEMORY_MB, KAMAILIO_SETTINGS, Contender, Result, Tick, cpu_seconds, pinned_load
from bench.world import LOAD_CORE, PINNED, RELEASE, Agent, enrol, names, wait_in_sync
from tests.acceptance.house import House
from tests.acceptance.peers.kamailio import CORE, MODULES, Kamailio, Registrar
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.sipp_calls import Answerer, Caller
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP

CHANNELS = 5_000
RATE = 200  # calls a second: what one core of either can
GATEWAYS = ("7000", "7001")
COUNTING = """
loadmodule "dialog.so"
modparam("dialog","profiles_with_value","gateway")
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483","Too Many Hops"); exit; }}
  if (is_present_hf("Route")) loose_route();
  if (is_method("REGISTER")) add_path();
  if (is_method("INVITE") && !has_totag()) {{
    record_route();
    if ($si == "{host}" && $sp == {port}) {{
      dlg_manage();
      if (!get_profile_size("gateway","$rU","$var(busy)")) $var(busy) = 0;
      if ($var(busy) >= {channels}) {{ sl_send_reply("403","No free channel"); exit; }}
      set_dlg_profile("gateway","$rU");
    }}
  }}
  if ($si != "{host}" || $sp != {port}) $du = "sip:{host}:{port}";
  if (!t_relay()) sl_reply_error();
}}
"""


def dialog_proxy(folder: Path, network: Network, pbx: tuple[str, int]) -> Contender:
    """Kamailio as a proxy in front of this PBX, with a profile of the dialogs of each gateway."""
    address = (network.address(), SIP)
    text = CORE.format(host=address[0], port=address[1], workers=1, modules=MODULES)
    text += "disable_tcp=yes\n" + KAMAILIO_SETTINGS
    text += COUNTING.format(host=pbx[0], port=pbx[1], channels=CHANNELS)
    made = Kamailio(folder / "dialog", network, address, text, prefix=PINNED, memory_mb=KAMAILIO_MEMORY_MB)
    return Contender("kamailio dialog", network.start(made), address)


def agent(network: Network, pbx: tuple[str, int]) -> Contender:
    """The agent with a gateway whose channels it counts, in sync with a master."""
    licences = {f"PBX-Port{RELEASE}": 10, "Relay-Channels": CHANNELS}
    (name,) = names(1)
    house = House(network, licences, {name: "gateway"}, installed=True).build()
    calls = {"lines": [{"aor": [GATEWAYS[0]]}]}
    made = Agent(network, name, pbx, prefix=PINNED, calls=calls)
    enrol(house, {name: made.data})
    network.start(made)
    wait_in_sync([made])
    return Contender("pbx-agent", made, made.address)


def calls(folder: Path, tick: Tick, *, rounds: int, count: int, rate: int = RATE) -> Result:
    """Return the result: `count` calls a round, `rate` begin each second."""
    with Network(folder) as network, pinned_load():
        pbx = (network.address(), SIP)
        core = [program("taskset"), "-c", str(LOAD_CORE)]
        registrar = Registrar(folder / "pbx", network, pbx, workers=1, prefix=core)
        network.start(registrar)
        pair = (agent(network, pbx), dialog_proxy(folder, network, pbx))
        for contender, gateway in zip(pair, GATEWAYS, strict=True):
            network.start(Answerer(network, gateway, pbx, contender.address, "u1"))
        until(lambda: set(GATEWAYS) <= set(registrar.contacts()), 30.0, "both gateways are registered")

        def one(contender: Contender, gateway: str) -> float:
            """One round; CPU µs of the contender for each call."""
            before = cpu_seconds(contender.program.pid)
            run = network.start(Caller(network, gateway, pbx, contender.address, "u1", count, rate=rate))
            went = run.finish(30.0 + 4 * count / rate)
            assert went == count, f"{contender.name}: {went} of {count} calls went right; see {run.log_path}"
            return round((cpu_seconds(contender.program.pid) - before) / count * 1e6, 1)

        lines = _measured(pair, one, rounds, tick)
    own_us, other_us = (statistics.median(line[side] for line in lines) for side in (0, 1))
    return {
        "value": round(other_us / own_us, 3),
        "unit": "ratio",
        "ours": own_us,
        "peer": other_us,
        "peer_name": "Kamailio with a dialog profile for each gateway, in memory; CPU µs per call",
        "rounds": [{"ours": own, "peer": other} for own, other in lines],
    }


def _measured(
    pair: tuple[Contender, Contender], one: Callable[[Contender, str], float], rounds: int, tick: Tick
) -> list[tuple[float, float]]:
    """Rounds of both in turn, after one that warms them."""
    lines = []
    for number in range(rounds + 1):
        ours, peer = (one(contender, gateway) for contender, gateway in zip(pair, GATEWAYS, strict=True))
        if number:
            lines.append((ours, peer))
            tick()
    return lines
