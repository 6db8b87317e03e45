"""The SQLAlchemy dialect `sqlite+aioapsw`, for `create_async_engine`: `sqlite+apsw` with a thread for each connection."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sqlalchemy import URL, pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.exc import ArgumentError

from homedex.storage import aioapsw_dbapi, apsw_dbapi
from homedex.storage.apsw_dialect import ApswDialect, regexp


class AioApswExecutionContext(SQLiteExecutionContext):
    """Lets `stream()` fetch rows as they are asked for."""

    def create_server_side_cursor(self) -> Any:
        """A cursor that leaves its rows with SQLite."""
        return self._dbapi_connection.cursor(server_side=True)


class AioApswDialect(ApswDialect):
    """SQLite through apsw, on an event loop: one hop a statement, and a caller who is cancelled stops it.

    `create_async_engine("sqlite+aioapsw:///data/app.db?query_only=1")`; the options are those of `sqlite+apsw`. Each transaction
    begins with the write lock, except on connections that may only read, so use one engine for each, or `Sessions`, which has both.
    """

    driver = "aioapsw"
    supports_statement_cache = True
    is_async = True
    has_terminate = True
    supports_server_side_cursors = True
    execution_ctx_cls = AioApswExecutionContext

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The PEP 249 module."""
        return aioapsw_dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """A queue of connections for a file; a database in memory is one connection's own."""
        return pool.AsyncAdaptedQueuePool if cls._is_url_file_db(url) else pool.StaticPool

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        """See `ApswDialect.create_connect_args`."""
        try:
            arguments, options = super().create_connect_args(url)
        except ArgumentError as error:
            raise ArgumentError(str(error).replace("sqlite+apsw:", "sqlite+aioapsw:")) from None
        return arguments, options | {"prepare": add_regexp}

    def on_connect(self) -> Callable[[Any], None] | None:  # type: ignore[override]
        """Nothing: `add_regexp` is done on the worker's thread while it opens the connection."""
        return None

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin with the first statement, in the same hop."""
        dbapi_connection.start()

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close without waiting for it."""
        dbapi_connection.terminate()

    def get_driver_connection(self, connection: Any) -> Any:
        """The worker: `await worker.run(fn)` calls `fn(connection)` on its thread, with one of `apsw_dbapi`."""
        return connection.driver_connection


def add_regexp(connection: apsw_dbapi.Connection) -> None:
    """Add REGEXP; see `ApswDialect.on_connect`."""
    connection.driver.create_scalar_function("regexp", regexp, 2, deterministic=True)  # type: ignore[arg-type]


registry.register("sqlite.aioapsw", __name__, "AioApswDialect")
