"""Database URLs: what they name, and how they are shown to people."""

import importlib.util

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from homedex.errors import BadSetting

POSTGRESQL = "postgresql://"
FORMS = (
    "Write sqlite:///./data/app.db for a file in this folder, sqlite:////var/lib/homedex/app.db for a full path, "
    "postgresql://user:password@host/name for a server."
)


def is_postgresql(target: str) -> bool:
    """Whether a target is a server's URL, and not the path of a file."""
    return target.startswith(POSTGRESQL)


def target_of(url: str, name: str = "DATABASE_URL") -> str:
    """What a database URL names: the path of a SQLite file, or a `postgresql://…` URL without the name of a driver.

    Args:
        name: the setting that it is the value of.
    Raises:
        BadSetting: another scheme, no file, or options that have no meaning here.
    """
    parsed = _parse(url, name)
    if parsed.drivername in {"postgresql", "postgresql+asyncpg"}:
        return _server(parsed, name)
    if parsed.drivername not in {"sqlite", "sqlite+aiosqlite", "sqlite+apsw", "sqlite+aioapsw"}:
        raise BadSetting(f"{name} names {parsed.drivername}, which this version does not serve. {FORMS}")
    if not parsed.database or parsed.database == ":memory:":
        raise BadSetting(f"{name} names no file, and a registry in memory would be lost. {FORMS}")
    if parsed.query or parsed.host or parsed.username:
        raise BadSetting(f"{name} takes a path and no options; synchronous and deadlines are settings. {FORMS}")
    return parsed.database


def _parse(url: str, name: str) -> URL:
    try:
        url.encode()
        return make_url(url)
    except (ArgumentError, ValueError):
        raise BadSetting(f"{name} is not a database URL. {FORMS}") from None


def _server(parsed: URL, name: str) -> str:
    if not parsed.database:
        raise BadSetting(f"{name} names no database on its server. {FORMS}")
    if importlib.util.find_spec("asyncpg") is None:
        raise BadSetting(
            f"{name} names a PostgreSQL server, for which a part is missing here: pip install 'homedex[postgres]', "
            "in a clone pip install -e '.[postgres]'."
        )
    # Written anew, because a password may have signs in it that end a part of a URL for one reader and not for another.
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def shown(target: str) -> str:
    """A target for people and logs: a path as it is, a URL without its password and options.

    Signs that a password should have written as %2F or %40 are taken for what they are: nothing of it may come out.
    """
    if not is_postgresql(target):
        return target
    rest = target.removeprefix(POSTGRESQL)
    place = rest.partition("?")[0]
    if "@" not in place and "@" in rest:
        return f"{POSTGRESQL}\N{HORIZONTAL ELLIPSIS}"
    who, at, host = place.rpartition("@")
    return f"{POSTGRESQL}{who.partition(':')[0]}{at}{host}"
