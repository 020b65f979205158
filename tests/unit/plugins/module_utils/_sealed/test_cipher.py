# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import functools
import hashlib
import io
import itertools
import json
import re
import typing as t
from pathlib import Path

import pytest
import tink
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from ansible_collections.bigfile.oci.plugins.module_utils._sealed import cipher
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import (
    KEY_SIZE,
    TAG_SIZE,
    WRAPPED_KEY_SIZE,
    DamagedSegment,
    Gcm,
    PartDigest,
    PlainStream,
    PycryptodomeGcm,
    RefusedKey,
    SealedStream,
    Stream,
    derive_upload_key,
    fastest_gcm,
    header_salt,
    new_header,
    new_private_key,
    public_key_of,
    unwrap_key,
    wrap_key,
)
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.layout import PLAIN, SEALED, SEGMENT_SIZE, Part, part
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.openssl import OpensslGcm, is_available

FORMAT = Path(__file__).parents[5] / "docs" / "format.md"
FIRST = SEGMENT_SIZE - 56
NEXT = SEGMENT_SIZE - 16
KEY = bytes(range(32))
PLACE = b"dumps/exp.dmp"
SIZES = sorted({0, 1, 2 * SEGMENT_SIZE}.union(FIRST + segments * NEXT + by for segments, by in itertools.product((0, 1, 2), (-1, 0, 1))))


@pytest.fixture(params=[PycryptodomeGcm, OpensslGcm], autouse=True)
def gcm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Gcm]:
    """Each test runs with each library."""
    monkeypatch.setattr(cipher, "fastest_gcm", lambda: request.param)
    return t.cast("type[Gcm]", request.param)


def test_openssl_is_used_where_it_is_there_and_pycryptodome_everywhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_available() and fastest_gcm() is OpensslGcm
    monkeypatch.setattr("ansible_collections.bigfile.oci.plugins.module_utils._sealed.openssl.AESGCM", None)
    assert not is_available() and fastest_gcm() is PycryptodomeGcm


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, SEGMENT_SIZE - 16])
def test_one_library_opens_what_the_other_seals(gcm: type[Gcm], size: int) -> None:
    (other,) = {PycryptodomeGcm, OpensslGcm} - {gcm}
    nonce, payload, sealed, opened = bytes(range(12)), pattern(size), bytearray(size + TAG_SIZE), bytearray(size)
    gcm(KEY).seal(nonce, payload, memoryview(sealed))
    other(KEY).open(nonce, memoryview(sealed), memoryview(opened))
    assert opened == payload


@functools.cache
def vectors() -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads(re.findall(r"```json\n(.*?)```", FORMAT.read_text("utf-8"), re.DOTALL)[-1]))


def hexed(name: str) -> bytes:
    return bytes.fromhex(vectors()[name])


@functools.cache
def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def cut(stream: Stream, size: int) -> Part:
    return part(stream.layout, size, 10_000 * SEGMENT_SIZE, 1)


def seal(stream: Stream, content: bytes) -> list[bytes]:
    """The segments of a whole file."""
    segments, offset = [], 0
    for segment, length, last in cut(stream, len(content)).segment_sizes(stream.layout):
        segments.append(bytes(stream.seal(segment, content[offset : offset + length], last=last)))
        offset += length
    return segments


def unseal(stream: Stream, sealed: bytes, size: int) -> bytes:
    """A whole stream opened, as the receiver does it: segment by segment."""
    count = cut(stream, size).segments
    pieces = [sealed[index * SEGMENT_SIZE : (index + 1) * SEGMENT_SIZE] for index in range(count)]
    return b"".join(bytes(stream.open(index, piece, last=index == count - 1)) for index, piece in enumerate(pieces))


def vector_stream() -> SealedStream:
    return SealedStream(hexed("key"), hexed("header"), vectors()["associated_data"].encode())


# The test vectors of docs/format.md


@pytest.mark.parametrize("number", [0, 1])
def test_a_small_file_seals_to_the_bytes_in_the_format_document(number: int) -> None:
    vector = vectors()["streams"][number]
    assert b"".join(seal(vector_stream(), bytes.fromhex(vector["file"]))).hex() == vector["stream"]


def test_a_file_of_several_segments_seals_to_the_digest_in_the_format_document() -> None:
    expected = vectors()["pattern"]
    sealed = b"".join(seal(vector_stream(), pattern(expected["size"])))
    assert (len(sealed), hashlib.sha256(sealed).hexdigest()) == (expected["stream_size"], expected["stream_sha256"])


@pytest.mark.parametrize(("stream", "name"), [(vector_stream(), "etag"), (PlainStream(), "plain_etag")])
def test_a_part_has_the_etag_in_the_format_document(stream: Stream, name: str) -> None:
    digest = PartDigest(stream.layout)
    for segment in seal(stream, pattern(vectors()["pattern"]["size"])):
        digest.add(segment)
    assert digest.etag() == vectors()["pattern"][name]


def test_a_user_s_key_derives_to_the_key_in_the_format_document() -> None:
    assert derive_upload_key(hexed("key"), hexed("header")) == hexed("derived_key")


def test_the_wrapped_key_in_the_format_document_unwraps() -> None:
    wrapping = vectors()["wrapping"]
    private_key = bytes.fromhex(wrapping["private_key"])
    assert public_key_of(private_key).hex() == wrapping["public_key"]
    assert unwrap_key(bytes.fromhex(wrapping["wrapped_key"]), private_key, wrapping["upload_id"]) == hexed("key")


# Tink is the judge


def tink_primitive() -> streaming_aead.StreamingAead:
    streaming_aead.register()
    url = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"
    params = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=1 << 20, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=params, key_value=KEY)
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(type_url=url, value=key.SerializeToString(), key_material_type=tink_pb2.KeyData.SYMMETRIC),
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return t.cast("streaming_aead.StreamingAead", handle.primitive(streaming_aead.StreamingAead))


class KeptBytes(io.BytesIO):
    """Keeps what was written when it is closed."""

    kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def test_the_segment_size_is_that_of_tink_s_template() -> None:
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    stated = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
    assert (stated.params.ciphertext_segment_size, stated.params.derived_key_size) == (SEGMENT_SIZE, KEY_SIZE)


@pytest.mark.parametrize("size", SIZES)
def test_tink_opens_what_we_seal(size: int) -> None:
    sealed = b"".join(seal(SealedStream(KEY, new_header(), PLACE), pattern(size)))
    with tink_primitive().new_decrypting_stream(io.BytesIO(sealed), PLACE) as opened:
        assert opened.read() == pattern(size)


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_tink_seals(size: int) -> None:
    written = KeptBytes()
    with tink_primitive().new_encrypting_stream(written, PLACE) as sealing:
        sealing.write(pattern(size))
    sealed = written.kept
    assert len(sealed) == SEALED.stream_size(size)
    assert unseal(SealedStream(KEY, sealed[:40], PLACE), sealed, size) == pattern(size)


# What must not open


@pytest.fixture(scope="module")
def three() -> list[bytes]:
    """A sealed file of three segments."""
    return seal(vector_stream(), pattern(2 * SEGMENT_SIZE))


@pytest.mark.parametrize("position", range(40 + 7 + TAG_SIZE))
def test_a_flipped_bit_in_any_byte_does_not_open(position: int) -> None:
    damaged = bytearray.fromhex(vectors()["streams"][1]["stream"])
    damaged[position] ^= 1 << (position % 8)
    with pytest.raises(DamagedSegment):
        vector_stream().open(0, damaged, last=True)


@pytest.mark.parametrize("position", [0, NEXT // 2, NEXT - 1, NEXT, SEGMENT_SIZE - 1])
def test_a_flipped_bit_in_a_later_segment_does_not_open_and_is_named(three: list[bytes], position: int) -> None:
    damaged = bytearray(three[1])
    damaged[position] ^= 0x80
    with pytest.raises(DamagedSegment, match="segment 1 ") as caught:
        vector_stream().open(1, damaged, last=False)
    assert caught.value.segment == 1


@pytest.mark.parametrize(
    ("number", "place"),
    [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0)],
    ids=str,
)
def test_a_segment_does_not_open_at_another_place(three: list[bytes], number: int, place: int) -> None:
    with pytest.raises(DamagedSegment):
        vector_stream().open(place, three[number], last=number == 2)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_does_not_end_elsewhere(three: list[bytes], number: int) -> None:
    with pytest.raises(DamagedSegment):
        vector_stream().open(number, three[number], last=number != 2)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("kept", [0, 1, 15, 16, 39, 40, 55, 56, -17, -16, -1])
def test_a_shortened_segment_does_not_open(three: list[bytes], number: int, kept: int) -> None:
    with pytest.raises(DamagedSegment):
        vector_stream().open(number, three[number][:kept], last=number == 2)


@pytest.mark.parametrize("extra", [b"\0", bytes(16), bytes(40)])
def test_a_lengthened_segment_does_not_open(three: list[bytes], extra: bytes) -> None:
    with pytest.raises(DamagedSegment):
        vector_stream().open(2, three[2] + extra, last=True)


@pytest.mark.parametrize(
    "other",
    [
        SealedStream(bytes(32), vector_stream().header, PLACE),
        SealedStream(KEY, new_header(), PLACE),
        SealedStream(KEY, vector_stream().header, b"dumps/other.dmp"),
        SealedStream(KEY, vector_stream().header, b""),
    ],
    ids=["key", "header", "destination", "no destination"],
)
def test_another_key_header_or_destination_does_not_open(three: list[bytes], other: SealedStream) -> None:
    with pytest.raises(DamagedSegment):
        other.open(1, three[1], last=False)


def test_another_header_in_front_does_not_open(three: list[bytes]) -> None:
    with pytest.raises(DamagedSegment):
        vector_stream().open(0, new_header() + three[0][40:], last=False)


# Sealing


@pytest.mark.parametrize("size", SIZES)
def test_segments_are_sealed_and_opened_in_any_order(size: int) -> None:
    stream, content = vector_stream(), pattern(size)
    places = list(cut(stream, size).segment_sizes(SEALED))
    sealed = {
        segment: stream.seal(segment, content[SEALED.offset(segment) :][:length], last=last) for segment, length, last in reversed(places)
    }
    assert unseal(stream, b"".join(sealed[segment] for segment, *unused in places), size) == content


@pytest.mark.parametrize("size", SIZES)
def test_a_plain_stream_is_the_file(size: int) -> None:
    assert b"".join(seal(PlainStream(), pattern(size))) == pattern(size)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_seals_to_the_same(kind: t.Callable[[bytes], bytes]) -> None:
    assert vector_stream().seal(0, kind(b"bigfile"), last=True).hex() == vectors()["streams"][1]["stream"]


def test_no_two_headers_are_alike() -> None:
    headers = {new_header() for unused in range(100)}
    assert len(headers) == 100
    assert {(len(header), header[0]) for header in headers} == {(40, 40)}


@pytest.mark.parametrize("header", [b"", bytes(40), bytes([40]) * 39, bytes([40]) * 41])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match="a stream header has 40 bytes"):
        header_salt(header)


def test_a_plain_etag_is_the_digest_of_a_checksum_of_each_segment() -> None:
    digest = PartDigest(PLAIN)
    digest.add(b"big")
    digest.add(b"file")
    assert (
        digest.etag() == hashlib.sha256(b"".join(AESGCM(bytes(32)).encrypt(bytes(12), b"", part) for part in (b"big", b"file"))).hexdigest()
    )


def test_a_sealed_etag_sees_any_other_content() -> None:
    etags = set()
    for content in (b"bigfile", b"bigfild", b"bigfil", b""):
        digest = PartDigest(SEALED)
        digest.add(vector_stream().seal(0, content, last=True))
        etags.add(digest.etag())
    assert len(etags) == 4


def test_two_uploads_derive_two_keys_of_one_user_s_key() -> None:
    assert derive_upload_key(KEY, new_header()) != derive_upload_key(KEY, new_header())


# Wrapping

PRIVATE = bytes(range(64, 96))
ID = "00112233445566778899aabbccddeeff"


def test_a_wrapped_key_unwraps_for_its_upload() -> None:
    wrapped = wrap_key(KEY, public_key_of(PRIVATE), ID)
    assert len(wrapped) == WRAPPED_KEY_SIZE == 80
    assert unwrap_key(wrapped, PRIVATE, ID) == KEY


def test_a_key_is_wrapped_differently_each_time() -> None:
    public_key = public_key_of(PRIVATE)
    assert wrap_key(KEY, public_key, ID) != wrap_key(KEY, public_key, ID)


def test_a_wrapped_key_serves_no_other_upload() -> None:
    with pytest.raises(RefusedKey, match="does not unwrap for this upload"):
        unwrap_key(wrap_key(KEY, public_key_of(PRIVATE), ID), PRIVATE, ID[::-1])


def test_a_wrapped_key_opens_with_no_other_private_key() -> None:
    with pytest.raises(RefusedKey):
        unwrap_key(wrap_key(KEY, public_key_of(PRIVATE), ID), new_private_key(), ID)


@pytest.mark.parametrize("position", range(WRAPPED_KEY_SIZE))
def test_a_flipped_bit_in_any_byte_of_a_wrapped_key_is_refused(position: int) -> None:
    damaged = bytearray.fromhex(vectors()["wrapping"]["wrapped_key"])
    damaged[position] ^= 1
    with pytest.raises(RefusedKey):
        unwrap_key(bytes(damaged), PRIVATE, ID)


@pytest.mark.parametrize("enclosed", [bytes(32), bytes([1]) + bytes(31), bytes([255]) * 32], ids=["0", "1", "top"])
def test_an_encapsulated_key_that_is_no_point_worth_having_is_refused(enclosed: bytes) -> None:
    with pytest.raises(RefusedKey):
        unwrap_key(enclosed + bytes.fromhex(vectors()["wrapping"]["wrapped_key"])[32:], PRIVATE, ID)


@pytest.mark.parametrize("length", [0, 1, 32, WRAPPED_KEY_SIZE - 1, WRAPPED_KEY_SIZE + 1])
def test_a_wrapped_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RefusedKey, match=f"has {WRAPPED_KEY_SIZE} bytes, this one {length}$"):
        unwrap_key(bytes(length), PRIVATE, ID)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_wrapped_key_has_the_right_size_inside_too(size: int) -> None:
    with pytest.raises(RefusedKey):
        unwrap_key(wrap_key(bytes(size), public_key_of(PRIVATE), ID), PRIVATE, ID)


@pytest.mark.parametrize("public_key", [b"", bytes(31), bytes(33), base64.b64encode(bytes(32))])
def test_what_is_no_public_key_wraps_nothing(public_key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wrap_key(KEY, public_key, ID)


def test_a_key_that_no_honest_service_has_wraps_nothing() -> None:
    """The all-zero point makes every shared secret zero: whoever listens could unwrap."""
    with pytest.raises(ValueError, match=r"."):
        wrap_key(KEY, bytes(32), ID)
