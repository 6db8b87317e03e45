"""How a log line looks, whoever logged it: one line of text or of JSON, with the id of the request that is being answered."""

import json
import logging
import re
import sys
import textwrap
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

request_id: ContextVar[str] = ContextVar("request_id", default="-")

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(level: str, style: Literal["text", "json"]) -> None:
    """Log to stderr, our own lines and those of the libraries alike."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if style == "json" else TextLine())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for chatty in ("uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel("WARNING")


class TextLine(logging.Formatter):
    """Time, level, logger, request id, message; a trace follows indented.

    Nothing that a client sent can look like a line of its own: control characters are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Lay out one record."""
        message = CONTROL.sub(_escaped, record.getMessage().rstrip())
        line = f"{_instant(record)} {record.levelname} {record.name} [{request_id.get()}] {message}"
        trace = _trace(self, record)
        return f"{line}\n{textwrap.indent(trace, '  ')}" if trace else line


class JsonLine(logging.Formatter):
    """One JSON object for each record; what the line is about, its `fields`, are members."""

    def format(self, record: logging.LogRecord) -> str:
        """Lay out one record."""
        line: dict[str, Any] = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage().rstrip(),
        }
        trace = _trace(self, record)
        return json.dumps(line | getattr(record, "fields", {}) | ({"trace": trace} if trace else {}))


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
