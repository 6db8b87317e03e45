"""Homedex's application for a web server that loads it by name, as uvicorn's and granian's commands do."""

import os

from homedex.api.app import create_app
from homedex.registry import schema
from homedex.storage.database import Database

PATH = os.environ["DATABASE_URL"].removeprefix("sqlite:///")
schema.upgrade(PATH)
app = create_app(Database.open(PATH, application_id=schema.APPLICATION_ID))
