"""The commands: what people and programs get, and the exit codes."""

import json
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner, Result

from billing.cli import app
from licence_master.config import ChannelsFile
from runtime.config import load
from tests.billing.desk import NOVEMBER, Desk, customer
from tests.billing.documents import PRINTING

CONFIG = Path(__file__).parents[2] / "config" / "billing"
OCTOBER = str(CONFIG / "october.yaml")
LIST = str(CONFIG / "list.csv")


def told(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done


def test_run_shows_an_aligned_table() -> None:
    lines = told("run", OCTOBER).stdout.splitlines()
    assert lines[0] == "Invoice 2026-10"
    table = lines[1 : lines.index("")]
    assert len({len(line) for line in table}) == 1
    sums = [line.split()[-2:] for line in table[-3:]]
    assert sums == [["net", "115.58"], ["VAT", "23.12"], ["gross", "138.70"]]
    assert "8 received = 6 rated, 2 not billable, 0 duplicate, 0 suspense, 0 quarantine" in lines


def test_run_json() -> None:
    found = json.loads(told("run", OCTOBER, "--json").stdout)
    assert found["invoices"][0]["gross"] == "138.70"
    assert set(found["levels"]) == {"customer", "resale"}


def test_a_refusal(tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    case.write_text('period: "2026-10"\ninvoices: {mode: per_entity}\n')
    done = told("run", str(case), "--json", code=1)
    assert json.loads(done.stdout)["refused"][0]["code"] == "entity_option_missing"
    assert "entity_option_missing: invoices by per_entity need" in done.stderr


def test_bad_data_and_no_file(tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    case.write_text("period: october\n")
    done = told("run", str(case), code=4)
    assert done.stderr.startswith(f'{case}:1:9: period: expected a month in quotes such as "2026-10"')
    assert done.stderr.endswith("1 error; nothing was rated\n")
    told("run", str(tmp_path / "none.yaml"), code=2)


def test_quarantine_shows_in_the_exit_code(tmp_path: Path) -> None:
    """B.I2."""
    case = tmp_path / "case.yaml"
    call = 'dialled: "201", answer: "2026-10-21T10:00:00Z"'
    case.write_text(
        f'period: "2026-10"\naccounts: [{{id: a}}]\n'
        f"calls: [{{id: c, account: a, {call}, seconds: 1}}, {{id: c, account: a, {call}, seconds: 2}}]\n"
    )
    assert "conflict" in told("run", str(case), code=4).stdout


def test_explain() -> None:
    """B.C17."""
    found = json.loads(told("explain", "c2", "--case", OCTOBER, "--json").stdout)
    assert found["levels"]["customer"]["row"] == f"{LIST}:3"
    assert found["levels"]["customer"]["price"] == "0.208333"
    assert re.search(r"in_basket_seconds +300", told("explain", "c2", "--case", OCTOBER).stdout)
    told("explain", "nothing", "--case", OCTOBER, code=1)


@pytest.mark.parametrize(
    ("number", "price"), [("0612345678", "0.208333"), ("0800123456", "0.000000"), ("112", "0.000000")]
)
def test_simulate(number: str, price: str) -> None:
    found = json.loads(told("simulate", number, "125", "--tariff", LIST, "--json").stdout)
    assert found["price"] == price


def test_simulate_refuses_what_would_wait() -> None:
    assert "no_price" in told("simulate", "+815012345678", "9", "--tariff", LIST, code=1).stderr
    assert "number" in told("simulate", "anonymous", "9", "--tariff", LIST, code=1).stderr


def test_tariff_check(tmp_path: Path) -> None:
    found = json.loads(told("tariff", "check", LIST, "--on", "2026-11-10", "--json", code=1).stdout)
    assert found["not_valid_on_day"] == [f"{LIST}:12"]
    assert {"prefix": "FR:10", "kind": "voice", "class": "SPECIAL"} in found["missing"]
    tariff = tmp_path / "t.csv"
    tariff.write_text("prefix,class,per_minute\n+33,A,0\n+33,B,0\n")
    assert f"{tariff}:3:1: prefix: " in told("tariff", "check", str(tariff), code=4).stderr


@pytest.mark.parametrize("words", [(), ("run",), ("explain",), ("simulate",), ("tariff", "check")])
def test_help_has_an_example(words: tuple[str, ...]) -> None:
    found = told(*words, "--help").stdout
    assert not words or f"Example: pbx-billing {' '.join(words)} " in " ".join(found.split())


def test_b_e21_channels_of_the_offers_are_the_file_that_the_master_reads(tmp_path: Path) -> None:
    """B.E21, B.E22: by the offer, by the line, by contract; a line counts from its first day."""
    words = (CONFIG / "billing.yaml").read_text()
    words = words.replace(
        '{kind: flat_on_consumption, monthly: "19.90",',
        '{kind: flat_on_consumption, channels: 4, monthly: "19.90",',
    )
    for name in ("list.csv", "resale.csv"):
        (tmp_path / name).write_bytes((CONFIG / name).read_bytes())
    config = tmp_path / "billing.yaml"
    config.write_text(words)
    told_now = told("channels", "--config", str(config), "--now", "2026-10-05T09:00:00Z").stdout
    assert told_now == 'channels:\n  "+33478000201": 4\n'
    file = tmp_path / "channels.yaml"
    file.write_text(told("channels", "--config", str(config), "--now", "2026-11-05T09:00:00Z").stdout)
    assert load(file, ChannelsFile).channels == {"+33478000201": 4, "+33383000301": 2}


@pytest.mark.parametrize("words", [("run", OCTOBER), ("tariff", "check", LIST), ("--help",)])
def test_without_the_extra_it_says_what_to_install(words: tuple[str, ...]) -> None:
    """A real process in which a library of the extra is not there."""
    program = "import sys; sys.modules['pyarrow'] = None; from billing.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    said = "pyarrow is not installed; run: pip install 'pbx-licences[billing]'\n"
    assert (done.returncode, done.stderr) == (2, said)


@PRINTING
def test_run_writes_drafts_of_all_that_a_close_writes(tmp_path: Path) -> None:
    """The example month, one command: a valid invoice whose first page says what is owed and why."""
    output = tmp_path / "invoices"
    done = told("run", OCTOBER, "--output", str(output), "--now", "2026-11-05T09:00:00Z")
    assert f"{output}: october/DRAFT-2026-10-0001.csv, october/DRAFT-2026-10-0001.pdf" in done.stderr
    summed = json.loads((output / "october" / "run.json").read_text())
    assert (summed["totals"]["gross"], summed["counts"]["calls"]) == ("138.70", 8)
    page = (output / "october" / "DRAFT-2026-10-0001.pdf").read_bytes()
    first = PdfReader(BytesIO(page)).pages[0].extract_text()
    for said in ("Menuiserie Dubois SARL", "FR83404833048", "5 décembre 2026", "Total TTC", "138,70"):
        assert said in first
    theirs = b"".join(path.read_bytes() for path in (output / "october").glob("*[vln]"))
    assert b"resale" not in theirs
    assert b"6.125000" not in theirs
    assert b"6.125000" in (output / "october.resale" / "statement.csv").read_bytes()
    told("run", OCTOBER, "--output", str(output), code=2)


def test_run_writes_nothing_of_a_case_that_cannot_be_printed(tmp_path: Path) -> None:
    """Without a seller, with calls that have no price, with a buyer that a validator refuses."""
    words = Path(OCTOBER).read_text()
    for name in ("list.csv", "resale.csv"):
        (tmp_path / name).write_bytes((CONFIG / name).read_bytes())
    case, output = tmp_path / "case.yaml", tmp_path / "out"
    for old, new, code, said in (
        ("seller:", "# seller:\nbuyer_:", 4, "buyer_"),
        ('legal_id: "404833048"', 'legal_id: "4"', 1, "invalid_invoice: DRAFT-2026-10-0001: "),
        (
            'dialled: "201"',
            'dialled: "anonymous"',
            1,
            "suspense: 1 calls have no price; no files were written",
        ),
    ):
        case.write_text(words.replace(old, new))
        done = told("run", str(case), "--output", str(output), code=code)
        assert said in done.stderr
        assert not output.exists()
    case.write_text('period: "2026-10"\n')
    assert "seller, buyer: missing" in told("run", str(case), "--output", str(output), code=2).stderr


def test_a_close_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    """It goes on with plain HTML; a real process without WeasyPrint."""
    desk = Desk(tmp_path).write(customer(), einvoice=True)
    words = desk.arguments("close", "2026-10", now=NOVEMBER)
    program = "import sys; sys.modules['weasyprint'] = None; from billing.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "pip install 'pbx-licences[einvoice]'" in done.stderr) == (0, True)
    assert (desk.artefacts / "2026-10" / "dubois" / "F2026-10-0001.html").exists()
