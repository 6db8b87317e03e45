"""What is printed for people: names come from devices that nobody vouches for."""

import re

UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters, with which a name could paint over what a terminal shows, and those that turn the direction of writing."""


def plain(text: str) -> str:
    """The text with what cannot be seen spelled out, ESC as backslash, x, 1, b."""
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)
