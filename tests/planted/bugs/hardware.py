"""Bugs of the MAC of a box: what proves nothing is believed, what is not believed counts."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="what-a-link-shows-is-believed",
        lesson="a silent yes",
        file="licensing/box/proof.py",
        before="        if link.permanent == mac:",
        after="        if mac in (link.permanent, link.address):",
        harness="cases of what proves a MAC",
        test="tests/licensing/test_box.py::test_an_address_that_is_only_shown_is_spoofed",
    ),
    Bug(
        name="licences-outlive-the-mac-of-their-box",
        lesson="a silent yes",
        file="licensing/state.py",
        before="self.settings, state.master_software, doubts)",
        after="self.settings, state.master_software)",
        harness="live agents that see another MAC",
        test="tests/licensing/test_boxes.py::test_l_r36_a_gateway_whose_mac_changed_counts_no_more_and_its_call_goes_on",
    ),
)
