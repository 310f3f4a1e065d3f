"""The benchmark's instruments work and refuse to measure nonsense; their figures are not judged here."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import results
from bench.load import Load, LoadFailedError
from bench.sip import Contender, compare, cpu_seconds
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until


@pytest.mark.real("kamailio", "taskset")
def test_two_proxies_are_compared(network: Network) -> None:
    registrar = (network.address(), 5060)
    pbx = network.start(Registrar(network.folder / "pbx", network, registrar, digest=False))

    def proxy(name: str, stateful: bool) -> Contender:
        address = (network.address(), 5060)
        made = Proxy(network.folder / name, network, address, registrar, stateful=stateful)
        return Contender(name, network.start(made), address)

    pair = proxy("forward", False), proxy("t_relay", True)
    result = compare(pair[0], pair[1], registrar, rounds=2, count=500, phones=100, ground=network)
    assert result["unit"] == "ratio"
    assert isinstance(result["rounds"], list)
    assert [sorted(line) for line in result["rounds"]] == [["forward", "t_relay"]] * 2
    assert len(pbx.contacts()) == 100


@pytest.mark.real("kamailio")
def test_a_load_that_is_refused_fails(network: Network) -> None:
    registrar = (network.address(), 5060)
    network.start(Registrar(network.folder / "pbx", network, registrar))
    load = Load(registrar, registrar, ground=network)
    assert not load.answers()
    with pytest.raises(LoadFailedError, match="401"):
        load.run(100)


def test_a_silent_target_fails_the_load(network: Network) -> None:
    with network.udp("127.0.0.1") as silent:
        load = Load(silent.getsockname(), silent.getsockname(), ground=network)
        with pytest.raises(LoadFailedError, match="no answer"):
            load.run(100)


def test_a_rate_is_kept(network: Network) -> None:
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 5060))\n"
    )
    code += "while True: data, source = s.recvfrom(9000); s.sendto(b'SIP/2.0 200 OK\\r\\n' + data, source)"
    echo = subprocess.Popen(network.inside([sys.executable, "-c", code]))
    try:
        load = Load(("127.0.0.1", 5060), ("127.0.0.1", 5060), ground=network)
        until(load.answers)
        assert load.run(100, rate=500).seconds >= 0.198
    finally:
        echo.kill()
        echo.wait()


def test_cpu_time_of_a_process_and_its_ended_children_is_counted(network: Network) -> None:
    code = (
        "import signal, subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10_000_000))'])\n"
    )
    code += "print('done', flush=True); signal.pause()"
    with Program("tree", [sys.executable, "-c", code], network.folder, network, ready="done") as tree:
        assert cpu_seconds(tree.pid) > 0.1


def test_results_are_kept_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.record("b", {"value": 0.6, "unit": "ratio", "ours": 5, "peer": 3, "peer_name": "x"}, path)
    results.record("a", {"value": 9, "unit": "s"}, path)
    assert list(results.read(path)["results"]) == ["a", "b"]
    assert "| b | 0.6 | ratio | 5 | 3 | x |" in results.markdown(path)
