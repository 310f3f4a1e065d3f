"""A billing desk in a folder: billing.yaml, exports as a master writes them, and the real commands."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from billing.cli import app
from billing.edges import instants
from telephony.cdr.columns import csv_header, csv_row, json_line
from telephony.cdr.record import Cdr, Direction, Kind

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
SELLER: Json = {
    "name": "Télécom du Rhône SAS", "street": "12 quai Perrache", "postcode": "69002", "city": "Lyon",
    "country": "FR", "vat_id": "FR32123456789", "legal_id": "123456789",
}  # fmt: skip
BUYER: Json = {
    "name": "Menuiserie Dubois SARL", "street": "3 rue des Acacias", "postcode": "54000", "city": "Nancy",
    "country": "FR", "legal_id": "404833048",
}  # fmt: skip
LIST = [
    {"prefix": "+336", "class": "FR_MOBILE", "per_minute": "0.60"},
    {"prefix": "+331", "class": "FR_FIXE", "per_minute": "0.12"},
]
NOVEMBER = "2026-11-05T09:00:00Z"
DECEMBER = "2026-12-05T09:00:00Z"


def customer(**further: Any) -> Json:
    """A customer with account 201, at 0.01 a second to mobiles."""
    given: Json = {
        "name": "dubois", "buyer": BUYER, "sources": ["acme/*"], "tariffs": {"list": LIST},
        "accounts": [{"id": "201", "monthly": "12.00"}],
    }  # fmt: skip
    return {**given, **further}


def ms(text: str) -> int:
    """UTC ms of an instant."""
    found = instants.read(text)
    assert found is not None
    return found


def cdr(ref: str, seconds: int = 10, answer: str = "2026-10-21T10:00:00Z", **further: Any) -> Cdr:
    """A call of account 201 to a mobile."""
    at_ms = ms(answer)
    made = Cdr(
        source="acme/hq/0", call_ref=ref, leg="1", pbx="hq", direction=Direction.OUT, kind=Kind.VOICE,
        caller="201", called="0612345678", dialled="0612345678", account="201", setup_ms=at_ms - 3_000,
        answer_ms=at_ms, end_ms=at_ms + seconds * 1_000, talk_s=seconds, cause=16, forwarded_by="",
        transferred_by="", raw=b"<cdr/>",
    )  # fmt: skip
    return replace(made, **further)


@dataclass(frozen=True)
class Desk:
    """Everything of it is below `folder`."""

    folder: Path

    def write(self, *customers: Json, **further: Any) -> "Desk":
        """billing.yaml anew; JSON is YAML."""
        written = {
            "data": "data", "seller": SELLER, "einvoice": False, "customers": list(customers), **further,
        }  # fmt: skip
        self.config.write_text(json.dumps(written))
        return self

    @property
    def config(self) -> Path:
        return self.folder / "billing.yaml"

    @property
    def artefacts(self) -> Path:
        return self.folder / "data" / "artefacts"

    def files(self) -> dict[str, bytes]:
        """Every artefact, staged ones too."""
        return {
            path.relative_to(self.artefacts).as_posix(): path.read_bytes()
            for path in sorted(self.artefacts.rglob("*"))
            if path.is_file()
        }

    def export(self, cdrs: Iterable[Cdr], name: str = "export.csv") -> Path:
        """A file as `licence-master cdr export` writes it."""
        path = self.folder / name
        if path.suffix == ".csv":
            path.write_text(csv_header() + "".join(csv_row(each) for each in cdrs), newline="")
        else:
            path.write_text("".join(json_line(each) for each in cdrs))
        return path

    def arguments(self, *words: str, now: str | None) -> list[str]:
        """A command of this desk."""
        at = ["--now", now] if now else []
        return [*words, "--config", str(self.config), *at]

    def do(self, *words: str, now: str | None = NOVEMBER) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(app, self.arguments(*words, now=now), catch_exceptions=False)

    def ask(self, *words: str, now: str | None = NOVEMBER, code: int = 0) -> Any:
        """Its JSON; it must end with this code."""
        found = self.do(*words, "--json", now=now)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    def take(self, *cdrs: Cdr, now: str = NOVEMBER, code: int = 0, name: str = "export.csv") -> Any:
        """Import these records; the answer about the file, whose sum is looked at."""
        (found,) = self.ask("import", str(self.export(cdrs, name)), now=now, code=code)
        verdicts = ("rated", "not_billable", "duplicate", "suspense", "quarantine")
        assert found["received"] == sum(found[name] for name in verdicts) == len(cdrs)
        return found

    def started(self, *words: str, now: str = NOVEMBER) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "billing.cli", *self.arguments(*words, now=now)]
        return subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def net(desk: Desk, number: str) -> list[tuple[str, str, str]]:
    """(period, item or class, net) of the lines of an invoice."""
    (found,) = desk.ask("invoice", number, now=None)
    return [
        (line["period"], line["class"] or line["item"], line["net"]) for line in found["invoice"]["lines"]
    ]
