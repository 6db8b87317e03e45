"""Load SQLAlchemy's plugin, and run in a folder of its own: the suite makes its databases where it stands."""

import os
import tempfile

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

import sqlalchemy.dialects.sqlite.provision  # noqa: E402, F401  (the plugin would look for it beside our dialect)
from sqlalchemy.dialects import registry  # noqa: E402
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403

registry.register("sqlite.apsw", "homedex.storage.apsw_dialect", "ApswDialect")
registry.register("sqlite.aioapsw", "homedex.storage.aioapsw_dialect", "AioApswDialect")
folder = tempfile.TemporaryDirectory(prefix="homedex-dialect-")
os.chdir(folder.name)
