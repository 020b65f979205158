# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The shapes of requests and answers, as the OpenAPI file shows them."""

from __future__ import annotations

import typing as t

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


UploadId = t.Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Sha256 = t.Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Mode = t.Annotated[str, StringConstraints(pattern=r"^0?[0-7]{3}$")]
Range = tuple[int, int]
Time = t.Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def _encodable(text: str) -> str:
    text.encode("utf-8")
    return text


Text = t.Annotated[str, AfterValidator(_encodable)]


class Problem(BaseModel):
    """RFC 9457. Members of a problem's own stand beside these."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    retryable: bool
    request_id: str


class Credentials(_Asked):
    """A user who logs in."""

    username: t.Annotated[Text, StringConstraints(max_length=128)]
    password: t.Annotated[Text, StringConstraints(max_length=1024)]


class Token(BaseModel):
    """A bearer token; ``expires_in`` seconds."""

    token: str
    token_type: t.Literal["Bearer"] = "Bearer"
    expires_in: int


class Limits(BaseModel):
    """Sizes in bytes, times in seconds."""

    part_size_min: int
    part_size_max: int
    parts_max: int
    upload_size_max: int
    file_size_max: int
    upload_age: int
    body_timeout: float


class Server(BaseModel):
    """What a client needs to know first."""

    service: t.Literal["oracle_assembler"] = "oracle_assembler"
    version: str
    api: int
    public_key: str
    sealing: list[str]
    limits: Limits


class Health(BaseModel):
    """The service can write."""

    status: t.Literal["ok"] = "ok"


class Entry(BaseModel):
    """A line of a folder."""

    name: str
    type: t.Literal["file", "folder"]
    size: int
    modified: Time


class Folder(BaseModel):
    """A folder and what is in it."""

    path: str
    entries: list[Entry]


class FolderMade(BaseModel):
    """A folder that is there now."""

    path: str
    created: bool


class FileFacts(BaseModel):
    """A published file; ``sha256`` is null when the service does not know it."""

    path: str
    size: int
    mode: str
    modified: Time
    sha256: str | None


class ModeAsked(_Asked):
    """A change of a file."""

    mode: Mode


class Receipt(BaseModel):
    """What was published."""

    upload_id: str
    path: str
    size: int
    sha256: str
    mode: str
    published: Time


class Sealing(_Asked):
    """How the stream is sealed; ``header`` is base64."""

    scheme: t.Literal["AES256_GCM_HKDF_1MB"]
    header: t.Annotated[str, StringConstraints(max_length=64)]


class Begin(_Asked):
    """Begin an upload."""

    id: UploadId | None = None
    path: Text
    size: t.Annotated[int, Field(ge=0)]
    part_size: t.Annotated[int, Field(ge=1)]
    parts: t.Annotated[int, Field(ge=1)]
    sealing: Sealing | None
    release_key: t.Literal["with_parts", "at_stitch"] = "with_parts"
    source: t.Annotated[Text, StringConstraints(max_length=128)] = ""


class Progress(BaseModel):
    """How far a stitching is."""

    step: t.Literal["opening", "checking", "syncing"]
    bytes_done: int
    bytes_total: int


class Upload(BaseModel):
    """An upload; ``received`` are ranges of part numbers, both ends included."""

    id: str
    path: str
    size: int
    part_size: int
    parts: int
    sealing: Sealing | None
    release_key: t.Literal["with_parts", "at_stitch"]
    source: str
    state: t.Literal["receiving", "stitching", "published"]
    received: list[Range]
    bytes_received: int
    created: Time
    expires: Time
    stitch: Progress | None
    problem: Problem | None
    receipt: Receipt | None


class Uploads(BaseModel):
    """A user's pending uploads."""

    uploads: list[Upload]


class PartReceived(BaseModel):
    """A part that counts; ``size`` is bytes of the file."""

    number: int
    size: int
    etag: str


class Stitch(_Asked):
    """Stitch an upload; ``key`` is base64 of the wrapped key."""

    name: Text
    size: t.Annotated[int, Field(ge=0)]
    sha256: Sha256
    key: t.Annotated[str | None, StringConstraints(max_length=256)] = None
    mode: Mode | None = None
    overwrite: bool = True
