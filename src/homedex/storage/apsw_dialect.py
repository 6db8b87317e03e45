"""The SQLAlchemy dialect `sqlite+apsw`: every transaction begins for real, and writers begin with the write lock."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import apsw
from sqlalchemy import URL, pool, util
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.interfaces import DBAPIModule, IsolationLevel
from sqlalchemy.exc import ArgumentError

from homedex.storage import apsw_dbapi
from homedex.storage.sqlite import MEMORY, Options


class ApswDialect(SQLiteDialect):
    """SQLite through apsw.

    `sqlite+apsw:///data/app.db?synchronous=NORMAL&query_only=1`: the query sets fields of `Options`;
    `create_engine(url, connect_args={"options": Options(...)})` passes all of them at once and wins.
    """

    driver = "apsw"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    returns_native_bytes = True
    _isolation_lookup = SQLiteDialect._isolation_lookup.union({"AUTOCOMMIT": None})  # noqa: SLF001  (as pysqlite's)

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The PEP 249 module."""
        return apsw_dbapi

    def retrieve_dbapi_version(self, dbapi: DBAPIModule) -> util.VersionInfo:  # noqa: ARG002  (their signature)
        """The version of apsw; SQLite's own is `server_version_info`."""
        return util.VersionInfo([int(part) for part in apsw.apsw_version().split(".")])

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:  # noqa: ARG002
        return apsw_dbapi.sqlite_version_info

    @classmethod
    def _is_url_file_db(cls, url: URL) -> bool:
        return bool(url.database) and url.database != MEMORY

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """A queue of connections for a file; in memory one for each thread, as each is a database of its own."""
        return pool.QueuePool if cls._is_url_file_db(url) else pool.SingletonThreadPool

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        """The file, absolute so that it stays the same after chdir, and the options.

        Raises:
            ArgumentError: the URL names a host, or an option that does not exist or has no such value.
        """
        if url.host or url.username or url.password or url.port:
            raise ArgumentError("a file has no host: sqlite+apsw:///relative.db or sqlite+apsw:////absolute.db")
        file = str(Path(str(url.database)).absolute()) if self._is_url_file_db(url) else MEMORY
        return [file], {"options": options_of(url)}

    def on_connect(self) -> Callable[[apsw_dbapi.Connection], None]:
        """Add REGEXP. FLOOR, which pysqlite adds too, is built into apsw's SQLite."""

        def add_regexp(connection: apsw_dbapi.Connection) -> None:
            connection.driver.create_scalar_function("regexp", regexp, 2, deterministic=True)  # type: ignore[arg-type]

        return add_regexp

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin now, not at the first write: what is read in a transaction is still true when it writes."""
        dbapi_connection.start()

    def get_isolation_level(self, dbapi_connection: Any) -> IsolationLevel:
        """The level in force."""
        if self.detect_autocommit_setting(dbapi_connection):
            return "AUTOCOMMIT"
        level: IsolationLevel = super().get_isolation_level(dbapi_connection)  # type: ignore[no-untyped-call]
        return level

    def set_isolation_level(self, dbapi_connection: Any, level: IsolationLevel) -> None:
        """With AUTOCOMMIT no transaction begins; with the others each begins as the connection was made for."""
        if level == "AUTOCOMMIT":
            dbapi_connection.begin = None
        else:
            dbapi_connection.begin = dbapi_connection.default_begin
            super().set_isolation_level(dbapi_connection, level)

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether each statement is a transaction of its own."""
        return dbapi_conn.begin is None

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:  # noqa: ARG002
        """Only a connection that was closed is gone; files do not hang up."""
        return isinstance(e.__cause__, apsw.ConnectionClosedError)


def regexp(pattern: Any, text: Any) -> bool | None:
    """Whether `text` holds a match of the Python pattern; `text REGEXP pattern` in SQL."""
    return None if pattern is None or text is None else re.search(pattern, text) is not None


def options_of(url: URL) -> Options:
    """The options in the query of a URL.

    Raises:
        ArgumentError: one does not exist, or has no such value.
    """
    types = get_type_hints(Options)
    unknown = url.query.keys() - types.keys()
    if unknown:
        raise ArgumentError(f"no option {', '.join(sorted(unknown))} in a database URL, only {', '.join(types)}")
    return Options(**{name: _value(name, types[name], str(text)) for name, text in url.query.items()})


def _value(name: str, kind: Any, text: str) -> Any:
    choices = get_args(kind)
    try:
        if choices:
            return choices[choices.index(text.upper())]
        return util.asbool(text) if kind is bool else kind(text)
    except ValueError:
        expected = " or ".join(choices) if choices else {bool: "1 or 0", int: "a whole number", float: "a number"}[kind]
        raise ArgumentError(f"{name}={text} in the database URL: expected {expected}") from None


registry.register("sqlite.apsw", __name__, "ApswDialect")
