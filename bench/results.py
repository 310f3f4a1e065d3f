"""bench/results.json: what was measured, on which machine, and the same as a Markdown table."""

import json
import os
import platform
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("results.json")


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
    }


def read(path: Path = PATH) -> dict[str, Any]:
    """Return the content of the file, empty results if there is none."""
    return json.loads(path.read_text()) if path.exists() else {"machine": machine(), "results": {}}


def record(name: str, result: dict[str, object], path: Path = PATH) -> None:
    """Write one result beside the others, and this machine: {"value", "unit", "ours", "peer", …}."""
    results = {**read(path)["results"], name: result}
    content = {"machine": machine(), "results": dict(sorted(results.items()))}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def markdown(path: Path = PATH) -> str:
    """Return the results as a table."""
    lines = ["| benchmark | value | unit | ours | peer | peer is |", "|---|---:|---|---:|---:|---|"]
    for name, entry in read(path)["results"].items():
        cells = [str(entry.get(key, "")) for key in ("value", "unit", "ours", "peer", "peer_name")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
