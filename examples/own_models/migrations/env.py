from homedex.storage import run_migrations
from models import Base

run_migrations(Base.metadata)
