"""bench/results.json: what was measured, each on which machine, and the same as a Markdown table."""

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"


def machine() -> dict[str, object]:
    """Return what a reader needs to judge the absolute figures; only ratios carry over to another machine."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": file_system(Path(tempfile.gettempdir())),
    }


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, as ext4: what fsync costs depends on it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    place = folder.resolve()
    holding = [(len(point), kind) for point, kind in mounts if place.is_relative_to(point)]
    return max(holding)[1]


def read(path: Path = PATH) -> dict[str, Any]:
    """Return the results in the file by name; each has the machine on which it was taken."""
    return json.loads(path.read_text()) if path.exists() else {}


def record(name: str, result: dict[str, object], path: Path = PATH) -> None:
    """Write one result beside the others, with this machine: {"value", "unit", "ours", "peer", …}."""
    results = {**read(path), name: {**result, "machine": machine()}}
    path.write_text(json.dumps(dict(sorted(results.items())), indent=2, ensure_ascii=False) + "\n")


def markdown(results: dict[str, Any]) -> str:
    """Return the results as a table, the machines below it; `ours` and `peer` are medians of the rounds.

    In each line a ratio above 1 says that ours is faster.
    """
    lines = ["| benchmark | ours | lowest to highest | peer | lowest to highest | ratio | the peer is | on |"]
    lines.append("|---|---:|---:|---:|---:|---:|---|---:|")
    machines: list[dict[str, object]] = []
    for name, entry in results.items():
        cells: list[object] = [name]
        for side in ("ours", "peer"):
            values = [each[side] for each in entry["rounds"]]
            cells += [entry[side], f"{min(values)} to {max(values)}"]
        if entry["machine"] not in machines:
            machines.append(entry["machine"])
        cells += [_ratio(entry), entry["peer_name"], machines.index(entry["machine"]) + 1]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines.append("")
    for number, host in enumerate(machines, start=1):
        versions = f"Linux {host['kernel']}, Python {host['python']}"
        disk = host.get("file_system", "file system not noted")
        lines.append(f"{number}. {host['cpu']}, {host['cores']} cores, {versions}, {disk}.")
    return "\n".join(lines) + "\n"


def _ratio(entry: dict[str, Any]) -> float:
    """Return how many times faster ours is: of rates ours through peer, of times the other way round."""
    if entry["unit"] == "ratio":
        return float(entry["value"])
    ours, peer = entry["ours"], entry["peer"]
    return float(f"{ours / peer if entry['unit'].endswith('/s') else peer / ours:.3g}")


def write_document(table: str, document: Path = DOCUMENT) -> None:
    """Put the table between the markers of the document."""
    text = document.read_text()
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert end, f"{document} lost its markers"
    document.write_text(f"{head}{BEGIN}\n{table}{END}{tail}")
