"""Load SQLAlchemy's plugin, and run in a folder of its own: the suite makes databases where it stands."""

import os
import tempfile

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

import sqlalchemy.dialects.sqlite.provision  # noqa: E402  (attaches test_schema; the plugin looks for it beside the dialect)
from sqlalchemy.dialects import registry  # noqa: E402
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403

registry.register("sqlite.apsw", "homedex.storage.apsw_dialect", "ApswDialect")
os.chdir(tempfile.mkdtemp(prefix="homedex-dialect-"))
