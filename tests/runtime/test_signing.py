"""Signatures: the exact bytes and the exact type or nothing (protocol.md, decision 0004)."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from licensing import wire
from runtime import signing
from runtime.signing import (
    KeyFileError,
    SigningKey,
    answer_type,
    header_key_id,
    key_id,
    pre_authentication_encoding,
    request_type,
    verify,
)

KEY = SigningKey.generate()


def test_encoding_is_dsse_version_1() -> None:
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # the example of the DSSE protocol text
    )
    assert pre_authentication_encoding("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_types_bind_method_path_status_and_request() -> None:
    assert (signing.REQUEST_TYPE, signing.ANSWER_TYPE) == (wire.REQUEST_TYPE, wire.ANSWER_TYPE)
    assert request_type("POST", "/v1/agent/sync?x=1") == "pbx.request.v1 POST /v1/agent/sync?x=1"
    assert answer_type(200, "ab;cd") == "pbx.answer.v1 200 ab;cd"


@given(st.binary(max_size=300), st.text(max_size=40))
def test_a_signature_fits_its_bytes(body: bytes, type_: str) -> None:
    header = KEY.sign(type_, body)
    assert header_key_id(header) == KEY.key_id == key_id(KEY.public)
    assert verify(KEY.public, type_, body, header)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_single_bit_counts(body: bytes, data: st.DataObject) -> None:
    header = KEY.sign("t", body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public, "t", bytes(changed), header)


def test_another_type_key_or_split_of_type_and_body_does_not_fit() -> None:
    header = KEY.sign("a b", b"c")
    other = SigningKey.generate()
    assert not verify(KEY.public, "a", b"b c", header)
    assert not verify(other.public, "a b", b"c", header)
    assert not verify(other.public, "a b", b"c", f"{other.key_id};{header.split(';')[1]}")
    assert not verify(KEY.public, "a b", b"c", f"{other.key_id};{header.split(';')[1]}")


@pytest.mark.parametrize("header", ["", ";", "x", "ID;", "ID;é", "ID;AAAA", "a;b;c"])
def test_a_malformed_header_is_a_no_and_not_an_exception(header: str) -> None:
    assert not verify(KEY.public, "t", b"", header.replace("ID", KEY.key_id))


def test_a_malformed_public_key_is_a_no() -> None:
    assert not verify(b"short", "t", b"", f"{key_id(b'short')};{KEY.sign('t', b'').split(';')[1]}")


def test_a_key_is_saved_for_its_owner_only_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.key"
    KEY.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public == KEY.public
    with pytest.raises(FileExistsError):
        SigningKey.generate().save(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        SigningKey.load(path)


def test_a_file_that_holds_no_such_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.key"
    path.touch(0o600)
    with pytest.raises(KeyFileError, match=r"agent\.key: not a private key"):
        SigningKey.load(path)
    wrong = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        SigningKey.load(path)


def test_what_everybody_knows_opens_nothing() -> None:
    """The public key as a shared secret, no signature, a header that names an algorithm of its own."""
    type_, body = "pbx.request.v1 POST /v1/agent/sync", b"{}"
    encoded = pre_authentication_encoding(type_, body)
    made = [hmac.digest(KEY.public, encoded, name) for name in ("sha256", "sha512")]
    made += [b"", bytes(64), hashlib.sha512(encoded).digest(), KEY.public * 2]
    for name in (KEY.key_id, "", "none", "HS256", "hmac", f"ed25519:{KEY.key_id}", f"HS256;{KEY.key_id}"):
        for signature in made:
            assert not verify(KEY.public, type_, body, f"{name};{base64.b64encode(signature).decode()}")
    assert verify(KEY.public, type_, body, KEY.sign(type_, body))
