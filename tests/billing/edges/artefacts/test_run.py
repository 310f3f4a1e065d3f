"""All artefacts of a run: nobody reads another's price, all is counted and hashed, less without the extra."""

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace

import pypdf
import pytest

from billing.core.document import Document
from billing.core.invoice import Sort
from billing.edges.artefacts.run import Issue, artefacts, run_json
from billing.edges.artefacts.statement import LevelError, statement_files
from billing.edges.pdf.figures import micro
from tests.billing.documents import PERIOD, PRINTING, branches, calls, line, reference

pytestmark = PRINTING

LIST, RESALE = 61_357, 33_911
PARTNER = "Grossiste Alpilles"


def priced(price: int) -> Document:
    """The reference invoice with the calls of a level on it, in cents."""
    whole = reference()
    total = sum(call.price for call in calls(price=price))
    lines = (*whole.invoice.lines[:2], line(Sort.CALLS, "FR_FIXE", (total + 5000) // 10_000, account="201"))
    return replace(whole, invoice=replace(whole.invoice, lines=lines))


def secrets(price: int) -> set[str]:
    """What somebody would recognise a level by: each price and each sum, as CSV and as people write it."""
    of_calls = [call.price for call in calls(price=price) if call.price]
    cents = (sum(of_calls) + 5000) // 10_000
    sums = {f"{cents // 100}.{cents % 100:02}", f"{cents // 100},{cents % 100:02}"}
    return {micro(each) for each in (*of_calls, sum(of_calls), LIST - RESALE)} | sums


def readable(files: dict[str, bytes]) -> str:
    """All that can be read in them, names and the texts of PDFs and of what is attached to them as well."""
    texts = []
    for name, content in files.items():
        texts.append(name)
        if name.endswith(".pdf"):
            reader = pypdf.PdfReader(io.BytesIO(content))
            texts += [page.extract_text() for page in reader.pages]
            texts += [each.decode() for held in reader.attachments.values() for each in held]
            texts.append(str(reader.metadata))
        else:
            texts.append(content.decode())
    return "\n".join(texts)


def customers() -> dict[str, bytes]:
    """Everything that the customer gets."""
    document, details = priced(LIST), calls("customer", LIST)
    (made,) = artefacts([Issue(document, details)], "Europe/Paris", masked=False)
    assert made.findings == ()
    files = made.files | statement_files(details, "customer", PERIOD, "fr", document.buyer.name)
    return files | {"run.json": run_json(PERIOD, [document], len(details), files)}


def resellers() -> dict[str, bytes]:
    """Everything that the reseller gets."""
    details = calls("resale", RESALE)
    files = statement_files(details, "resale", PERIOD, "fr", PARTNER)
    return files | {"run.json": run_json(PERIOD, [], len(details), files)}


def test_b_e18_b_e19_nobody_reads_the_price_of_another_level() -> None:
    customer, reseller = readable(customers()), readable(resellers())
    hidden = secrets(RESALE) - secrets(LIST)
    assert [each for each in (*hidden, PARTNER, "resale") if each in customer] == []
    assert [each for each in secrets(LIST) - secrets(RESALE) if each in reseller] == []
    # And the search does find what is there.
    assert len([each for each in secrets(LIST) if each in customer]) > 40
    assert PARTNER in reseller
    assert micro(sum(call.price for call in calls(price=RESALE))) in reseller


def test_calls_of_another_level_are_refused() -> None:
    mixed = (*calls("customer"), *calls("resale")[:1])
    with pytest.raises(LevelError, match="F2026-10-0001: calls of another level than customer"):
        list(artefacts([Issue(reference(), mixed)], "Europe/Paris", masked=False))
    with pytest.raises(LevelError, match="statement of customer: found calls priced for resale"):
        statement_files(mixed, "customer", PERIOD, "fr", "")


def test_a_statement_calls_a_class_as_the_invoice_does() -> None:
    named = [replace(call, class_="X", label="Pays voisins") for call in calls()]
    page = statement_files(named, "customer", PERIOD, "fr", "")["statement.html"].decode()
    assert "<td>Pays voisins</td>" in page
    assert ">Pays voisins</text>" in page


def test_a_statement_is_exact() -> None:
    files = statement_files(calls("customer", LIST), "customer", PERIOD, "en", "")
    rows = files["statement.csv"].decode().splitlines()
    assert rows == [
        "account,class,calls,seconds,billed_seconds,included_seconds,amount",
        f"201,FR_FIXE,14,1113,1533,42,{micro(273 * LIST)}",
        f"202,FR_MOBILE,13,1027,1417,37,{micro(247 * LIST)}",
        f"202,SPECIAL,13,1040,1430,36,{micro(260 * LIST)}",
    ]
    assert f"<dd>{micro(780 * LIST)} EUR</dd>" in files["statement.html"].decode()


def test_run_json_says_totals_counts_and_hashes() -> None:
    whole = reference()
    credit = replace(
        whole,
        number="A2026-11-0001",
        corrects=whole.number,
        invoice=replace(whole.invoice, lines=whole.invoice.lines[2:3]),
    )
    said = json.loads(run_json(PERIOD, [whole, credit], 66, {"b.csv": b"x\n", "a.xml": b"<a/>"}))
    assert said["period"] == "2026-10"
    assert said["totals"] == {"net": "160.44", "vat": "32.08", "gross": "192.52"}
    assert said["counts"] == {"documents": 2, "lines": 6, "calls": 66}
    assert said["documents"][1] == {
        "number": "A2026-11-0001",
        "corrects": "F2026-10-0001",
        "entity": None,
        "net": "3.48",
        "vat": "0.70",
        "gross": "4.18",
    }
    assert list(said["files"]) == ["a.xml", "b.csv"]
    assert said["files"]["b.csv"] == {"bytes": 2, "sha256": hashlib.sha256(b"x\n").hexdigest()}


def test_names_of_the_files() -> None:
    assert sorted(customers()) == [
        "F2026-10-0001.csv",
        "F2026-10-0001.pdf",
        "F2026-10-0001.svg",
        "F2026-10-0001.xml",
        "run.json",
        "statement.csv",
        "statement.html",
    ]


def test_an_invalid_invoice_is_told_and_has_no_paper() -> None:
    whole = reference()
    bad = replace(
        whole, invoice=replace(whole.invoice, lines=(replace(whole.invoice.lines[0], unit_cents=-1),))
    )
    (made,) = artefacts([Issue(bad)], "Europe/Paris", masked=False)
    assert any("negative-price: line 1: found -0.01" in finding for finding in made.findings)
    assert list(made.files) == ["F2026-10-0001.csv"]


WITHOUT = """
import sys
for name in ("babel", "facturx", "jinja2", "saxonche", "weasyprint", "pypdf"):
    sys.modules[name] = None
from billing.edges.artefacts.run import Issue, artefacts
from tests.billing.documents import branches, calls
for made in artefacts([Issue(branches(), calls())], "Europe/Paris", masked=True):
    print(made.notice, sorted(made.files), made.files["F2026-10-0001.html"].decode(), sep="\\n")
"""


def test_without_the_extra_html_and_csv_come_out_and_it_is_said_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    notice, names, page = done.stdout.split("\n", 2)
    assert "pip install 'pbx-licences[einvoice]'" in notice
    assert "libpango-1.0-0" in notice
    assert names == "['F2026-10-0001.csv', 'F2026-10-0001.html', 'F2026-10-0001.svg']"
    for said in ("Facture F2026-10-0001", "Lyon 25\u202f095,97\u00a0€", "FR76 3000 6000 0112 3456 7890 189"):
        assert said in page
    assert page.count("<tr><td>") == len(branches().invoice.lines)
