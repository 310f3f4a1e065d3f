"""Documents to files, by artefacts.run: e-invoices where they are wanted and can be made, else plain HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.core.detail import Detail
from billing.core.tariff import CUSTOMER
from billing.edges.artefacts import run
from billing.edges.artefacts.run import Issue
from billing.edges.artefacts.statement import statement_files
from billing.service.house import Contract
from billing.service.papers import Finding, Paper


@dataclass(frozen=True, slots=True)
class Printer:
    """`einvoice`: XML and PDF, where the extra is installed; `ubl` beside CII."""

    einvoice: bool = True
    ubl: bool = False

    def print(
        self, contract: Contract, period: int, papers: Sequence[Paper]
    ) -> Mapping[str, bytes] | Sequence[Finding]:
        """The files of these documents with run.json about them; or all findings."""
        issues = [Issue(paper.document, paper.details) for paper in papers]
        files: dict[str, bytes] = {}
        findings: list[Finding] = []
        for made in run.artefacts(
            issues, contract.zone, masked=contract.is_masked, ubl=self.ubl, plain=not self.einvoice
        ):
            files |= made.files
            findings += [Finding(made.number, text) for text in made.findings]
        if findings:
            return findings
        calls = sum(len(paper.details) for paper in papers)
        documents = [paper.document for paper in papers]
        return files | {"run.json": run.run_json(period, documents, calls, files)}

    def notice(self) -> str:
        """What to install for the e-invoices that are wanted and cannot be made; "": nothing."""
        return run.notice() if self.einvoice else ""

    def statements(
        self, contract: Contract, period: int, details: Sequence[Detail]
    ) -> Mapping[str, Mapping[str, bytes]]:
        """What each further level pays, for nobody else's eyes."""
        levels = sorted({detail.level for detail in details} - {CUSTOMER})
        return {
            level: statement_files(
                [detail for detail in details if detail.level == level],
                level,
                period,
                contract.language,
                contract.buyer.name,
            )
            for level in levels
        }
