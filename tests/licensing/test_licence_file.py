"""Licence files: what was signed is what is read, and everything else is refused with its own code."""

import base64
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licensing.codes import Code, Refusal
from licensing.files import armour, exact_json
from licensing.files.armour import Block
from licensing.files.licence_file import (
    ALGORITHM,
    DAMAGED,
    ISSUER,
    LICENCE,
    REVOCATIONS,
    TYPES,
    Issuer,
    Licence,
    PublicKey,
    RevocationList,
    Row,
    SignedFile,
    SignedList,
    file_id,
    read,
    read_issuer,
    seal,
)
from runtime.signing import SigningKey, verify
from tests.licensing.office import Office, licence, public
from tests.telephony.mutation import Mutator

CHAOS = bool(os.environ.get("CHAOS"))
SEED = int(os.environ.get("SEED", "5"))
OFFICE = Office()
TEXT = OFFICE.text(licence())
BODY = msgspec.json.encode(licence())


def code(text: bytes, office: Office = OFFICE) -> Code | None:
    """The code with which a file is refused, or None."""
    found = read(text, office.roots, verify)
    return found.code if isinstance(found, Refusal) else None


def test_what_was_signed_is_what_is_read() -> None:
    body = licence("5 PBX-Port13", "2 PBX-IPVA13 at lyon", issue_no=7, macs=("00-90-33-01-02-03",))
    found = read(OFFICE.text(body), OFFICE.roots, verify)
    assert isinstance(found, SignedFile)
    assert found.licence == body
    assert (found.issuer, found.root, found.key) == ("Example", OFFICE.root.key_id, OFFICE.key.key_id)
    assert found.id == file_id(seal(LICENCE, body, OFFICE.key.sign))


def test_the_signature_covers_the_exact_bytes_however_they_are_written() -> None:
    """Other JSON of the same meaning, as an issuer in another language writes it: another file, as good."""
    other = BODY.replace(b'":', b'" : ').replace(b",", b" ,\n")
    assert other != BODY
    ids = set()
    for text in (BODY, other):
        found = read(OFFICE.raw(text), OFFICE.roots, verify)
        assert isinstance(found, SignedFile), found
        assert found.licence == licence()
        ids.add(found.id)
    assert len(ids) == 2
    header = OFFICE.key.sign(TYPES[LICENCE], BODY).encode()
    borrowed = OFFICE.armoured(OFFICE.voucher(), Block(LICENCE, header + b"\n" + other))
    assert code(borrowed) is Code.FILE_CHANGED


def flips(text: bytes) -> Iterator[bytes]:
    changed = bytearray(text)
    for at in range(len(text)):
        for bit in range(8):
            changed[at] ^= 1 << bit
            yield bytes(changed)
            changed[at] ^= 1 << bit


def test_every_single_bit_flip_is_refused() -> None:
    assert code(TEXT) is None
    accepted = [number for number, text in enumerate(flips(TEXT)) if code(text) is None]
    assert accepted == []


def test_every_single_bit_flip_inside_the_armour_is_refused() -> None:
    """The same for the bytes that the armour carries: signature, key id and signed text."""
    voucher, block = OFFICE.voucher(), seal(LICENCE, licence(), OFFICE.key.sign)
    for content in flips(block.content):
        assert code(OFFICE.armoured(voucher, Block(LICENCE, content))) in DAMAGED | {Code.KEY_UNTRUSTED}
    for content in flips(voucher.content):
        assert code(OFFICE.armoured(Block(ISSUER, content), block)) in DAMAGED | {Code.KEY_UNTRUSTED}


def test_an_edit_of_two_neighbouring_bytes_is_refused_or_only_adds_what_mail_adds() -> None:
    """All of them in make chaos, 20 each at every place else."""
    whole = armour.unwrap(TEXT)
    chance = random.Random(SEED)
    for at in range(len(TEXT) - 1):
        before, after = TEXT[:at], TEXT[at + 2 :]
        for pair in range(65_536) if CHAOS else chance.sample(range(65_536), 20):
            text = before + pair.to_bytes(2, "big") + after
            if text != TEXT and code(text) is None:
                assert armour.unwrap(text) == whole, (at, pair)


def test_armour_survives_e_mail() -> None:
    lines = TEXT.decode().splitlines()
    for name, text in {
        "CRLF": "\r\n".join(lines),
        "trailing blanks": " \t\n".join(lines),
        "quoted": "".join(f"> {line}\n" for line in lines),
        "quoted twice": "".join(f">> \t{line}\r\n" for line in lines),
        "indented": "".join(f"    {line}\n" for line in lines),
        "in a letter": "Dear customer,\n\nyour licences:\n" + "\n\n".join(lines) + "\n-- \nExample GmbH\n",
        "with a byte order mark": "\ufeff" + "\n".join(lines),
    }.items():
        assert code(text.encode()) is None, name


def test_armour_is_strict_in_everything_else() -> None:
    voucher, block = OFFICE.voucher(), seal(LICENCE, licence(), OFFICE.key.sign)
    whole = TEXT.decode()
    first = whole.splitlines()[1]
    for text in (
        "",
        "no file at all",
        whole.replace("-----END PBX LICENCE-----", ""),
        whole.replace("-----BEGIN PBX LICENCE-----", ""),
        whole.replace("PBX LICENCE-----", "PBX LICENSE-----"),
        whole.replace("-----END PBX LICENCE-----", "-----END PBX LICENCE ISSUER-----"),
        whole.replace(first, first[:30] + "*" + first[31:]),
        whole.replace(first, first[:-1]),
        whole.replace(first, first[:30] + " " + first[30:]),
        whole + whole,
        OFFICE.armoured(block, voucher).decode(),
        OFFICE.armoured(voucher).decode(),
        OFFICE.armoured(block).decode(),
        OFFICE.armoured(voucher, Block(LICENCE, b"")).decode(),
        OFFICE.armoured(voucher, Block("PBX KEY", block.content)).decode(),
    ):
        assert code(text.encode()) is Code.FILE_MALFORMED, text


def test_a_mebibyte_of_rubbish_is_refused_at_once() -> None:
    chance = random.Random(SEED)
    assert code(chance.randbytes(armour.MAX_BYTES)) is Code.FILE_MALFORMED
    assert code(b"[" * armour.MAX_BYTES) is Code.FILE_MALFORMED
    assert code(b"> \t" * (armour.MAX_BYTES // 3)) is Code.FILE_MALFORMED
    assert code(b"x" + b" " * (armour.MAX_BYTES - 2) + b"x") is Code.FILE_MALFORMED
    assert code(b"-----BEGIN PBX LICENCE-----\n" * 30_000) is Code.FILE_MALFORMED
    assert code(TEXT + b"\n" * armour.MAX_BYTES) is Code.TOO_LARGE
    deep = OFFICE.raw(b"[" * 500_000)
    assert code(deep) is Code.FILE_MALFORMED


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('"issue_no":1', '"issue_no":1,"issue_no":2', Code.DUPLICATE_KEY),
        ('"count":1', '"count":1,"count":9', Code.DUPLICATE_KEY),
        ('"count":1', '"c\\u006funt":9,"count":1', Code.DUPLICATE_KEY),
        ('"count":1', '"count":1.0', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":1e3', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":NaN', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":-Infinity', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":9007199254740992', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":1,"new":0.5', Code.NUMBER_NOT_WHOLE),
        ('"count":1', '"count":1' + "0" * 5_000, Code.NUMBER_NOT_WHOLE),
        ('"issue_no":1', '"issue_no":1,"critical":["cores"],"cores":4', Code.UNKNOWN_CRITICAL),
        ('"issue_no":1', '"issue_no":1,"critical":["licences.core"]', Code.UNKNOWN_CRITICAL),
        ('"alg":"ed25519"', '"alg":"none"', Code.ALGORITHM_MISMATCH),
        ('"alg":"ed25519"', '"alg":"ed448"', Code.ALGORITHM_MISMATCH),
        ('"alg":"ed25519",', "", Code.FILE_MALFORMED),
        ('"count":1', '"count":0', Code.FILE_MALFORMED),
        ('"count":1', '"count":-1', Code.FILE_MALFORMED),
        ('"count":1', '"count":"1"', Code.FILE_MALFORMED),
        ('"count":1', '"count":true', Code.FILE_MALFORMED),
        ('"count":1', '"count":1000001', Code.FILE_MALFORMED),
        ('"issue_no":1', '"issue_no":0', Code.FILE_MALFORMED),
        ('"main"', '"ma\\nin"', Code.FILE_MALFORMED),
        ('"main"', '"ma\\ud800in"', Code.FILE_MALFORMED),
        ('"main"', '""', Code.FILE_MALFORMED),
        ('"issue_no":1', '"issue_no":1,"macs":["zz"]', Code.FILE_MALFORMED),
        ('"issue_no":1', '"issue_no":1,"supersedes":["1"]', Code.FILE_MALFORMED),
        ("{", "\ufeff{", Code.FILE_MALFORMED),
        ("}]}", "}]} {}", Code.FILE_MALFORMED),
    ],
)
def test_what_an_issuer_must_not_sign(before: str, after: str, expected: Code) -> None:
    assert BODY.decode().count(before) >= 1
    assert code(OFFICE.raw(BODY.decode().replace(before, after, 1).encode())) is expected


def test_what_is_new_and_not_critical_is_passed_over() -> None:
    later = BODY.replace(
        b'"issue_no":1', b'"issue_no":1,"note":{"a":[1,"x"]},"critical":["macs","licences.mac"]'
    )
    assert code(OFFICE.raw(later)) is None


def test_latin_text_and_utf_16_are_no_json() -> None:
    assert code(OFFICE.raw(BODY.replace(b"main", b"m\xe9in"))) is Code.FILE_MALFORMED
    assert code(OFFICE.raw(BODY.decode().encode("utf-16"))) is Code.FILE_MALFORMED


def test_a_foreign_key_is_refused_wherever_it_signs() -> None:
    stranger = Office()
    block = seal(LICENCE, licence(), OFFICE.key.sign)
    assert code(stranger.text(licence())) is Code.KEY_UNTRUSTED
    assert code(OFFICE.armoured(stranger.voucher(), block)) is Code.KEY_UNTRUSTED
    foreign = seal(LICENCE, licence(), stranger.key.sign)
    assert code(OFFICE.armoured(OFFICE.voucher(), foreign)) is Code.KEY_UNTRUSTED
    by_root = seal(LICENCE, licence(), OFFICE.root.sign)
    assert code(OFFICE.armoured(OFFICE.voucher(), by_root)) is Code.KEY_UNTRUSTED
    borrowed_id = foreign.content.replace(stranger.key.key_id.encode(), OFFICE.key.key_id.encode(), 1)
    assert code(OFFICE.armoured(OFFICE.voucher(), Block(LICENCE, borrowed_id))) is Code.FILE_CHANGED
    found = read(TEXT, (), verify)
    assert isinstance(found, Refusal)
    assert found.code is Code.KEY_UNTRUSTED
    assert "licence_roots" in found.hint


def test_an_issuer_vouches_for_nobody_and_revokes_nothing() -> None:
    friend = Office(root=OFFICE.key)
    assert code(friend.text(licence())) is Code.KEY_UNTRUSTED
    listed = RevocationList(alg=ALGORITHM, number=1, issued_ms=0)
    assert code(OFFICE.armoured(seal(REVOCATIONS, listed, OFFICE.key.sign))) is Code.KEY_UNTRUSTED


def test_a_signature_of_one_kind_passes_for_no_other() -> None:
    for type_ in (TYPES[ISSUER], TYPES[REVOCATIONS], "pbx.answer.v1 200 x", ""):
        block = OFFICE.block(LICENCE, BODY, OFFICE.key, type_ or "other")
        assert code(OFFICE.armoured(OFFICE.voucher(), block)) is Code.FILE_CHANGED


def test_a_voucher_for_a_key_of_another_kind_is_refused() -> None:
    block = seal(LICENCE, licence(), OFFICE.key.sign)
    other = OFFICE.voucher(key="rsa:" + str(public(OFFICE.key)).partition(":")[2])
    assert code(OFFICE.armoured(other, block)) is Code.ALGORITHM_MISMATCH
    for wrong in ("ed25519:AAAA", "ed25519", "ed25519:é", "x"):
        assert code(OFFICE.armoured(OFFICE.voucher(key=wrong), block)) is Code.FILE_MALFORMED
    named = OFFICE.voucher(alg="hs256")
    assert code(OFFICE.armoured(named, block)) is Code.ALGORITHM_MISMATCH


def test_a_revocation_list_and_a_voucher_are_read_alone() -> None:
    key = "0123456789abcdef"
    found = read(OFFICE.revocations(3, keys=(key,), files=("0" * 64,)), OFFICE.roots, verify)
    assert isinstance(found, SignedList)
    assert (found.root, found.list.number, found.list.keys) == (OFFICE.root.key_id, 3, (key,))
    alone = read_issuer(OFFICE.armoured(OFFICE.voucher()), OFFICE.roots, verify)
    assert isinstance(alone, tuple)
    assert alone[1].issuer == "Example"
    assert isinstance(read_issuer(TEXT, OFFICE.roots, verify), Refusal)
    assert isinstance(read_issuer(b"", OFFICE.roots, verify), Refusal)
    for text in flips(OFFICE.revocations(1)):
        assert code(text) is not None


words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=100)
instants = st.integers(0, exact_json.LARGEST)
rows = st.builds(
    Row, type=words, count=st.integers(1, 1_000_000), place=words | st.none(), mac=words | st.none()
)
licences = st.builds(
    Licence,
    alg=st.just(ALGORITHM),
    project=words,
    issue_no=st.integers(1, exact_json.LARGEST),
    issued_ms=instants,
    licences=st.lists(rows, min_size=1, max_size=4).map(tuple),
    supersedes=st.lists(st.from_regex(r"\A[0-9a-f]{64}\Z"), max_size=2).map(tuple),
    from_ms=instants | st.none(),
    until_ms=instants | st.none(),
    master=st.none() | st.from_regex(r"\A[0-9a-f]{16}\Z"),
    macs=st.lists(st.from_regex(r"\A[0-9a-f]{2}(-[0-9a-f]{2}){5}\Z"), max_size=2).map(tuple),
)


@given(licences)
@settings(max_examples=5_000 if CHAOS else 300, deadline=None)
def test_every_licence_comes_back_as_it_was(body: Licence) -> None:
    found = read(OFFICE.text(body), OFFICE.roots, verify)
    assert isinstance(found, SignedFile), found
    assert found.licence == body


@given(st.from_regex(r"\A[A-Z]{1,8}( [A-Z]{1,8}){0,3}\Z"), st.binary(max_size=300))
@settings(max_examples=5_000 if CHAOS else 300, deadline=None)
def test_armour_gives_back_what_it_was_given(label: str, content: bytes) -> None:
    block = Block(label, content)
    assert armour.unwrap(armour.wrap(block).encode()) == (block,)


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=200, deadline=None)
def test_a_public_key_is_read_as_it_is_written(raw: bytes) -> None:
    key = PublicKey(ALGORITHM, raw)
    assert PublicKey.parse(str(key)) == key


def test_broken_files_are_refused_and_break_nothing() -> None:
    """Whole files; almost none of them gets further than its armour."""
    pool = [TEXT, OFFICE.revocations(2), Office().text(licence())]
    mutator = Mutator(random.Random(SEED), pool)
    whole = {armour.unwrap(text) for text in pool[:2]}
    for number in range(200_000 if CHAOS else 10_000):
        text = mutator.draw()
        if code(text) is None:
            assert armour.unwrap(text) in whole, f"SEED={SEED}, file {number}: {text!r}"


def test_broken_texts_under_a_good_signature_are_refused_and_break_nothing() -> None:
    """What lies under the signature, as a hostile or careless issuer may sign it."""
    full = licence("5 PBX-Port13", "2 PBX-IPVA13 at lyon", macs=("00-90-33-01-02-03",), master="0" * 16)
    pool = [BODY, msgspec.json.encode(full), b'{"critical":["x"],"alg":1.5}', b'{"a":{"a":[1,NaN]}}']
    mutator = Mutator(random.Random(SEED), pool)
    codes = set()
    for number in range(200_000 if CHAOS else 10_000):
        text = mutator.draw()
        found = exact_json.decode(text, Licence)
        if isinstance(found, Refusal):
            codes.add(found.code)
        else:
            assert exact_json.decode(msgspec.json.encode(found), Licence) == found, f"SEED={SEED}, {number}"
    assert codes == {Code.FILE_MALFORMED, Code.DUPLICATE_KEY, Code.NUMBER_NOT_WHOLE}


def test_a_key_vouched_for_is_the_key_that_signs() -> None:
    """Two vouchers of one root in two names: the file is of the issuer whose voucher it carries."""
    key = SigningKey.generate()
    other = Office("Other", root=OFFICE.root, key=key)
    found = read(other.text(licence()), OFFICE.roots, verify)
    assert isinstance(found, SignedFile)
    assert (found.issuer, found.key) == ("Other", key.key_id)
    said = Issuer(alg=ALGORITHM, issuer="Other", key=str(public(key)))
    assert msgspec.json.decode(other.voucher().content.partition(b"\n")[2], type=Issuer) == said


def test_the_lines_of_the_documentation_open_a_file() -> None:
    """Another reader, which shares no code with ours: what docs/licence-files.md says is what is done."""
    page = (Path(__file__).parents[2] / "docs" / "licence-files.md").read_text()
    lines = page.partition("```python\n")[2].partition("```")[0]
    place: dict[str, Callable[[str, str, bytes, bytes], bytes]] = {}
    exec(lines, place)  # our own documentation
    opened = place["opened"]
    text = TEXT.decode()
    voucher = opened(text, "PBX LICENCE ISSUER", b"pbx.licence-issuer.v1", OFFICE.root.public)
    said = json.loads(voucher)
    key = base64.b64decode(said["key"].partition(":")[2])
    assert opened(text, "PBX LICENCE", b"pbx.licence.v1", key) == BODY
    assert {"alg", *said} == {"alg", "issuer", "key"}


def test_the_documentation_knows_every_code_and_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "licence-files.md").read_text()
    codes = {*DAMAGED, Code.KEY_UNTRUSTED, Code.KEY_REVOKED, Code.FILE_REVOKED, Code.NOT_YET_VALID}
    codes |= {Code.EXPIRED, Code.WRONG_MASTER, Code.MAC_MISMATCH, Code.ISSUER_MISMATCH, Code.ISSUE_OLD}
    fields = {name for kind in (Issuer, Licence, RevocationList) for name in kind.__struct_fields__}
    assert [name for name in [*codes, *fields] if f"`{name}`" not in page] == []
