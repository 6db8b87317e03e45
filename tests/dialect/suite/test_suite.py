"""Every test that SQLAlchemy has for a dialect."""

from sqlalchemy.testing.suite import *  # noqa: F403
