"""One SQLAlchemy engine over one SQLite file; each caller says what its connections may do."""

import sqlalchemy
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool

from homedex.storage import apsw_dialect  # noqa: F401  (registers the dialect, also where no entry point is installed)
from homedex.storage.sqlite import Options

MAY_WRITE = "homedex_may_write"
"""The execution option that says whether an engine's connections are for writing."""


def create_engine(path: str, options: Options) -> Engine:
    """An engine whose connections are opened by `sqlite.open_connection`; it pools none, because lanes keep theirs."""
    url = URL.create("sqlite+apsw", database=path)
    may = {MAY_WRITE: not options.query_only}
    return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args={"options": options}, execution_options=may)
