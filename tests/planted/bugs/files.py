"""Bugs of licence files and of what else is installed."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="signature-over-the-meaning",
        lesson="JSON read twice is two texts",
        file="licensing/files/licence_file.py",
        before='verify(key.raw, TYPES[block.label], text, header.decode("ascii"))',
        after="verify(key.raw, TYPES[block.label], msgspec.json.encode(msgspec.json.decode(text)),"
        " header.decode())",
        harness="the same meaning in other bytes",
        test="tests/licensing/test_licence_file.py::test_the_signature_covers_the_exact_bytes_however_they_are_written",
    ),
    Bug(
        name="any-base64-will-do",
        lesson="a changed byte that changes nothing",
        file="licensing/files/armour.py",
        before="return content if base64.b64encode(content) == text else None",
        after="return content",
        harness="every bit of a file flipped",
        test="tests/licensing/test_licence_file.py::test_every_single_bit_flip_inside_the_armour_is_refused",
    ),
    Bug(
        name="old-issue-comes-back",
        lesson="a file that was replaced is installed again",
        file="licensing/files/delivery.py",
        before="known.issue_no >= licence.issue_no",
        after="known.issue_no == licence.issue_no",
        harness="cases of the delivery",
        test="tests/licensing/test_delivery.py::test_an_old_issue_does_not_come_back",
    ),
    Bug(
        name="mac-of-the-file-ignored",
        lesson="one file, many boxes",
        file="licensing/files/delivery.py",
        before="if box.mac not in named:",
        after="if not box.mac:",
        harness="cases of the delivery",
        test="tests/licensing/test_delivery.py::test_every_row_lies_at_a_box_whose_mac_the_file_names",
    ),
    Bug(
        name="second-of-two-keys-wins",
        lesson="JSON read twice is two texts",
        file="licensing/files/exact_json.py",
        before="if key in found:",
        after="if key in found and found[key] == value:",
        harness="what an issuer must not sign",
        test="tests/licensing/test_licence_file.py::test_what_an_issuer_must_not_sign",
    ),
    Bug(
        name="vendors-file-with-a-doctype",
        lesson="entities of a stranger's XML",
        file="licence_master/edges/vendor_xml.py",
        before="        self._parser.StartDoctypeDeclHandler = self._doctype\n",
        after="",
        harness="what is wrong with a vendor's file",
        test="tests/licence_master/test_installing.py::test_what_is_wrong_with_the_vendors_file_is_said_with_its_line",
    ),
)
