"""The benchmark's instruments work and refuse to measure nonsense; their figures are not judged here."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from rich.console import Console

from bench import results
from bench.__main__ import Benchmark, Measure, run
from bench.call_records import PEERS, parse_us
from bench.decisions import decisions
from bench.grants import grants
from bench.guard import register_proxy
from bench.held import held
from bench.lenders import etcd, etcd_clients, etcd_server, plain, plain_server, row_lock
from bench.load import Load, LoadFailedError
from bench.memory import memory
from bench.rating import against, same
from bench.sip import Contender, compare, cpu_seconds
from bench.storm import storms
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until

LENT = partial(grants, syncs=2, agents=3)


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
    assert [sorted(line["detail"]) for line in result["rounds"]] == [["forward", "t_relay"]] * 2
    assert len(pbx.contacts()) == 200, "each proxy has phones of its own"


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
        "import signal, subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(40_000_000))'])\n"
    )
    code += "print('done', flush=True); signal.pause()"
    with Program("tree", [sys.executable, "-c", code], network.folder, network, ready="done") as tree:
        assert cpu_seconds(tree.pid) > 0.1


@pytest.mark.usefixtures("network")  # skips where no namespace is to be had
@pytest.mark.real("kamailio", "taskset", "etcd", "pgbench")
@pytest.mark.parametrize(
    ("measure", "unit"),
    [
        (partial(register_proxy, count=1_000, phones=100), "ratio"),
        (partial(LENT, against=plain, operations=20, unit="grants/s"), "grants/s"),
        (partial(LENT, against=plain_server, operations=20), "ratio"),
        (partial(LENT, against=partial(etcd, pools=1, described="CAS"), operations=3), "ratio"),
        (partial(LENT, against=partial(etcd, pools=20, described="apart"), operations=2, units=100), "ratio"),
        (partial(LENT, against=partial(row_lock, described="one"), operations=3), "ratio"),
        (partial(LENT, against=partial(row_lock, described="many"), operations=2, units=100), "ratio"),
        (partial(held, ports=600, agents=2), "MB"),
        (partial(decisions, count=200, phones=100), "us"),
        (partial(memory, phones=100), "MB"),
        (partial(storms, ports=30, agents=2), "s"),
    ],
    ids=[
        "guard",
        "grants",
        "plain-server",
        "etcd-lease",
        "etcd-batched-apart",
        "postgresql-row-lock",
        "postgresql-batched",
        "held",
        "decisions",
        "memory",
        "storm",
    ],
)
def test_a_figure_is_taken_from_the_shipped_programs(measure: Measure, unit: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    run([Benchmark("figure", measure, 1, measure)], Console(quiet=True), path, quick=False)
    figure = results.read(path)["figure"]
    assert sorted(figure) == ["machine", "ours", "peer", "peer_name", "rounds", "unit", "value"]
    assert figure["unit"] == unit
    assert figure["value"] > 0
    (line,) = figure["rounds"]
    assert (line["ours"], line["peer"]) == (pytest.approx(figure["ours"]), pytest.approx(figure["peer"]))


@pytest.mark.real("etcd", "taskset")
def test_a_pool_that_says_other_than_was_counted_fails(network: Network) -> None:
    network.start(etcd_server(network))
    missed = pytest.raises(AssertionError, match="says what it missed")
    with etcd_clients(network, 2, 1) as load:
        assert load.ask(2, 3).units == 12
    with missed, etcd_clients(network, 1, 1) as other:
        assert other.ask(1, 1).units == 1, "it knows nothing of the twelve"


@pytest.mark.parametrize("dialect", PEERS)
def test_a_call_record_is_read_beside_the_standard_library(dialect: str, tmp_path: Path) -> None:
    figure = parse_us(tmp_path, lambda: None, rounds=1, dialect=dialect, count=20)
    assert figure["unit"] == "us"
    assert isinstance(figure["value"], float)
    assert figure["value"] > 0


def test_rating_is_measured_beside_a_loop_that_makes_the_same_rows(tmp_path: Path) -> None:
    figure = against(tmp_path, lambda: None, rounds=1, peer="loop", count=3_000)
    assert isinstance(figure["rounds"], list)
    (line,) = figure["rounds"]
    assert line["value"] == pytest.approx(line["ours"] / line["peer"], rel=0.01)
    ours, peer = tmp_path / "rated.parquet", tmp_path / "rated_by_loop.parquet"
    assert same(ours, peer, 3_000)
    rows = pyarrow.parquet.read_table(peer)
    assert any(rows["inside_0"].to_pylist()), "some calls are inside a basket"
    pyarrow.parquet.write_table(rows.slice(1), peer)
    assert not same(ours, peer, 3_000), "a row less is seen"


def test_results_are_kept_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    rounds = [{"ours": 5, "peer": 3}, {"ours": 6, "peer": 2}]
    entry = {"unit": "s", "ours": 5, "peer": 3, "peer_name": "x", "rounds": rounds}
    results.record("b", {"value": 0.7, **entry, "unit": "ratio"}, path)
    results.record("a", {"value": 5, **entry}, path)
    content = results.read(path)
    assert list(content) == ["a", "b"]
    content["c"] = {**content["a"], "machine": {**content["a"]["machine"], "cpu": "another"}}
    table = results.markdown(content).splitlines()
    assert table[2:5] == [
        "| a | 5 | 5 to 6 | 3 | 2 to 3 | 0.6 | x | 1 |",
        "| b | 5 | 5 to 6 | 3 | 2 to 3 | 0.7 | x | 1 |",
        "| c | 5 | 5 to 6 | 3 | 2 to 3 | 0.6 | x | 2 |",
    ]
    assert [line[:3] for line in table[6:]] == ["1. ", "2. "]
    assert "another" in table[7]


def test_the_table_stands_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.write_document("| new |\n", document)
    assert document.read_text() == f"before\n{results.BEGIN}\n| new |\n{results.END}\nafter\n"
