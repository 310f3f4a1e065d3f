"""From a case to the call detail that a customer gets."""

from pathlib import Path

from billing.edges import case as cases
from billing.edges.artefacts.detail_csv import detail_csv
from billing.service.bill import rated
from billing.service.details import details
from billing.service.runners import DuckDb

OCTOBER = Path(__file__).parents[3] / "config" / "billing" / "october.yaml"


def test_b_j7_of_the_example_month() -> None:
    """B.J7, B.E19: local start with offset, and no price of another level."""
    case = cases.read(OCTOBER)
    rating = rated(case, DuckDb())
    lines = detail_csv(details(case, rating, "customer"), "Europe/Paris", masked=False).decode().splitlines()
    assert len(lines) == 9
    assert lines[1] == "c1,2026-10-02T10:00:00+02:00,201,+33612345678,voice,FR_MOBILE,5700,5700,5700,0.000000"
    assert "c5,2026-10-25T02:59:30+02:00,301,+442079460958,voice,INT_FIXE,120,120,0,0.180000" in lines
    resale = detail_csv(details(case, rating, "resale"), "Europe/Paris", masked=False).decode()
    assert "c1,2026-10-02T10:00:00+02:00,201,+33612345678,voice,FR_MOBILE,5700,5700,0,5.700000" in resale
