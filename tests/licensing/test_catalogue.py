"""The catalogue: every row of the model, and everything that could be wrong with one."""

import copy

import pytest

from licensing.catalogue import Catalogue, CatalogueError, Row
from licensing.codes import Code, Refusal
from licensing.demand import Where
from licensing.licence_type import LicenceType
from tests.licensing.house import CATALOGUE, DOCUMENT

TYPED = [row for row in CATALOGUE.rows.values() if row.type is not None]


@pytest.mark.parametrize("row", TYPED, ids=lambda row: row.id)
def test_l_k4_every_row_writes_parses_and_writes_the_same(row: Row) -> None:
    for release in (9, 13):
        written = str(row.type_for(release))
        parsed = LicenceType.parse(written)
        assert isinstance(parsed, LicenceType)
        assert str(parsed) == written
        assert CATALOGUE.row_of(parsed) is row


def test_l_k4_34_types_and_33_references() -> None:
    assert len(TYPED) == 34
    assert len({row.reference for row in TYPED}) == 33


def test_l_k1_a_shared_reference_is_ambiguous() -> None:
    refused = CATALOGUE.by_reference("02-00030-001")
    assert isinstance(refused, Refusal)
    assert refused.code is Code.AMBIGUOUS_REFERENCE
    assert "IPVA" in refused.detail
    assert "Fax" in refused.detail
    port = CATALOGUE.by_reference("02-00039-002")
    assert isinstance(port, Row)
    assert port.id == "port"


@pytest.mark.parametrize(
    ("text", "advice"),
    [("Prt13", "PBX-Port13"), ("App(fone)13", "App(phone)13")],
)
def test_an_unknown_name_is_refused_with_the_nearest(text: str, advice: str) -> None:
    parsed = LicenceType.parse(text)
    assert isinstance(parsed, LicenceType)
    refused = CATALOGUE.row_of(parsed)
    assert isinstance(refused, Refusal)
    assert refused.code is Code.INVALID_TYPE
    assert advice in refused.hint


def test_every_pool_that_a_class_draws_from_is_in_the_catalogue() -> None:
    drawn = {source.pool for demand in CATALOGUE.lent for slot in demand.slots for source in slot}
    assert drawn <= set(CATALOGUE.pools)
    boxed = {
        source.pool
        for demand in CATALOGUE.lent
        for slot in demand.slots
        for source in slot
        if source.where is Where.BOX
    }
    bound = {row.pool for row in TYPED if CATALOGUE.classes[row.class_].component == "Relay"}
    assert boxed <= bound


def test_all_problems_are_named_at_once() -> None:
    document = copy.deepcopy(DOCUMENT)
    rows = {row["id"]: row for row in document["licences"]}
    rows["port"]["pool"] = "ports"
    rows["fax"]["class"] = "software"
    rows["video"]["requires"] = ["app-fone"]
    rows["uc"]["mode"] = "per_head"
    rows["standby"]["type"] = "PBX-Standby13"
    rows["port-500"]["tier"] = 400
    rows["relay-bri"]["colour"] = "red"
    rows["mobility"]["reference"] = "02-00039-002"
    rows["reporting"]["type"] = "PBX-Fax{release}"
    with pytest.raises(CatalogueError) as caught:
        Catalogue.from_rows(document)
    found = "\n".join(caught.value.problems)
    for part in (
        "ports",
        "software",
        "app-fone",
        "per_head",
        "standby:",
        "port-500: tier",
        "colour",
        "02-00039-002",
    ):
        assert part in found, found
    assert len(caught.value.problems) >= 9


@pytest.mark.parametrize("document", [None, [], {"licences": []}, {"format": 1}])
def test_what_is_no_catalogue_is_refused(document: object) -> None:
    with pytest.raises(CatalogueError):
        Catalogue.from_rows(document)
