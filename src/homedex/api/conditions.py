"""Conditional requests (RFC 9110): entity tags, and what `If-Match` and `If-None-Match` ask for.

A tag is `"<version>-<digest>"`. The version counts the record's changes and is what `If-Match` compares: a device that was seen
meanwhile, or got an entity, has not been edited. The digest is of the very bytes, so that 304 is never wrong about those.
"""

import hashlib
import re
from dataclasses import dataclass

from fastapi import Request, Response

from homedex.api.deps import json_response
from homedex.errors import Invalid

TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
VERSION = re.compile(r"(\d{1,18})(-[0-9a-f]*)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of the record before it is changed.

    Args:
        versions: it must have one of these; empty: it must be there; None: nothing is asked.
        only_new: it must not be there.
    """

    versions: frozenset[int] | None
    only_new: bool


def asked(request: Request) -> Asked:
    """What the request's headers ask.

    Raises:
        Invalid: a header that is no list of entity tags.
    """
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none_match is not None and none_match.strip() != "*":
        raise Invalid("If-None-Match: only * has a meaning here: make a new record, or nothing.")
    versions = None
    if match is not None:
        found = frozenset() if match.strip() == "*" else _versions(match)
        versions = found
    return Asked(versions, only_new=none_match is not None)


def _versions(header: str) -> frozenset[int]:
    tags = _tags("If-Match", header)
    found = (VERSION.fullmatch(tag) for weak, tag in tags if not weak)
    # A tag that is none of ours matches nothing: -1 is no version.
    return frozenset(int(one[1]) if one else -1 for one in found) or frozenset({-1})


def _tags(name: str, header: str) -> list[tuple[bool, str]]:
    tags, place = [], 0
    while place < len(header):
        found = TAG.match(header, place)
        if found is None:
            raise Invalid(f'{name}: must be * or entity tags, such as "3-5f0c9a1b".')
        tags.append((found[1] is not None, found[2]))
        place = found.end()
    return tags


def item(request: Request, body: bytes, version: int, status: int = 200) -> Response:
    """One record with its entity tag; 304 when the client has these very bytes."""
    tag = f"{version}-{hashlib.blake2s(body, digest_size=6).hexdigest()}"
    headers = {"ETag": f'"{tag}"'}
    known = request.headers.get("if-none-match") if request.method in {"GET", "HEAD"} else None
    if known is not None and (known.strip() == "*" or any(one == tag for _, one in _tags("If-None-Match", known))):
        return Response(status_code=304, headers=headers)
    return json_response(body, status, headers)
