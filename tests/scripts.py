"""Folders of migrations for tests: small ones of their own, and the registry's with one more."""

import shutil
import textwrap
from pathlib import Path

import homedex
from homedex.registry import schema

ENV = "from sqlalchemy import MetaData\nfrom homedex.storage.migrate import run_migrations\nrun_migrations(MetaData())\n"


def write_scripts(folder: Path, *bodies: str) -> Path:
    """A folder of migrations 0001, 0002, … with these upgrades."""
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(ENV)
    for number, body in enumerate(bodies, 1):
        _write(folder / "versions" / f"{number:04}_step.py", number, body)
    return folder


def _write(file: Path, number: int, body: str) -> None:
    down = None if number == 1 else f"{number - 1:04}"
    head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '{number:04}'\ndown_revision = {down!r}\ndef upgrade():\n"
    file.write_text(head + textwrap.indent(textwrap.dedent(body), "    "))


def program_with(folder: Path, body: str) -> dict[str, str]:
    """A Homedex with one migration more, as settings of the processes that shall run it.

    A copy of the whole package, because what it knows of schemas is nothing that could be set from outside.
    """
    copy = folder / "newer" / "homedex"
    shutil.copytree(Path(homedex.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    number = int(schema.head()) + 1
    _write(copy / "migrations" / "versions" / f"{number:04}_next.py", number, body)
    return {"PYTHONPATH": str(copy.parent)}
