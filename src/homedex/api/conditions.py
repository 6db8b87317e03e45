"""Conditional requests (RFC 9110): entity tags, and what `If-Match` and `If-None-Match` ask for.

A tag is `"<version>-<digest>"`. The version counts the record's changes and is what `If-Match` compares: a device that was seen
meanwhile, or got an entity, has not been edited. The digest is of the very bytes, so that 304 is never wrong about those.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request, Response

from homedex.api.deps import json_response
from homedex.errors import Invalid

TAG = re.compile(r'[\s,]*(W/)?"([^"]*)"\s*(?:,[\s,]*|$)')
"""One of a list, in which empty ones say nothing (RFC 9110, 5.6.1.2)."""

NOTHING: Mapping[str, str] = {}
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
    match, none_match = (", ".join(request.headers.getlist(name)) or None for name in ("if-match", "if-none-match"))
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


def has_tag(header: str, tag: str) -> bool:
    """Whether If-None-Match names an entity tag, which is in quotes.

    Raises:
        Invalid: it is no list of entity tags.
    """
    return header.strip() == "*" or any(f'"{one}"' == tag for _, one in _tags("If-None-Match", header))


def item(body: bytes, version: int, status: int = 200) -> Response:
    """One record with its entity tag."""
    return tagged(body, f"{version}-{digest(body)[:12]}", status)


def tagged(body: bytes, tag: str, status: int = 200, headers: Mapping[str, str] = NOTHING) -> Response:
    """JSON with its entity tag, to be asked for again each time it is used: only the registry knows what has changed."""
    return json_response(body, status, {"ETag": f'"{tag}"', "Cache-Control": "no-cache", **headers})


def digest(body: bytes) -> str:
    """Of the very bytes, so that 304 is never wrong about them. 24 KB: 14 us, half of blake2's time (2026-11)."""
    return hashlib.sha256(body).hexdigest()[:24]
