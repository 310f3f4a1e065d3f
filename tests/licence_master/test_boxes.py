"""What an administrator says and hears of the boxes that licences are bound to."""

from dataclasses import replace

from licence_master.config import Policy
from licence_master.service.told import boxes
from licensing.box.sighting import TOLERATED, Sighting
from tests.licensing.test_boxes import CHANGED, PROVEN, A, exchange


def test_each_state_has_a_policy_and_a_pbx_may_differ_in_one() -> None:
    assert Policy().tolerates == TOLERATED
    strict = Policy(hardware={"unprovable": "enforce"})
    assert strict.tolerates == ("unseen",)
    assert strict.overridden_by(Policy(hardware={"changed": "alarm"})).tolerates == ("unseen", "changed")
    assert strict.overridden_by(Policy(refuse=503)).tolerates == ("unseen",)


def test_a_box_is_found_by_its_pbx_and_by_its_mac() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    state = made.house.state
    asked = ("hq", "00:90:33:01:02:03", A, "metz")
    assert [boxes.found(state, name) for name in asked] == ["hq", "hq", "hq", None]
    assert boxes.doubted(state, "hq") == ""
    assert boxes.told(state, "hq") == (
        "Licences bound to hq (00-90-33-01-02-03) count; its MAC is believed:"
        " neighbour 10.0.0.2 on eth0 answers with it.",
        "",
    )


def test_a_box_without_a_licence_is_known_too() -> None:
    state = exchange().house.state
    bare = replace(state, bound=frozenset())
    assert boxes.found(bare, "hq") == "hq"
    assert boxes.told(bare, "hq") == ("No licence is bound to hq (00-90-33-01-02-03).", "")


def test_doubt_is_told_with_what_was_seen_and_what_follows() -> None:
    made = exchange()
    made.see("hq", CHANGED)
    assert boxes.doubted(made.house.state, "hq") == (
        "Licences bound to hq (00-90-33-01-02-03) do not count: The licence names another MAC address"
        " (mac_mismatch): 10.0.0.2 on eth0 answers with 00-90-33-0c-0c-0c."
    )
    made.see("hq", Sighting(A, "unprovable", place="here", why="behind a router"))
    assert "count all the same, as the policy says" in boxes.doubted(made.house.state, "hq")
    assert boxes.doubted(made.house.state, "metz") == "", "nothing is bound there"
