"""The command that moves a registry from one database to another."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homedex.errors import HomedexError

if TYPE_CHECKING:
    from rich.console import Console

    from homedex.storage.transfer import Proof

SHOW_CURSOR = "\x1b[?25h"


def transfer(
    source: Annotated[str, typer.Argument(metavar="FROM_URL", help="The registry to copy, such as sqlite:///./data/app.db.")],
    target: Annotated[str, typer.Argument(metavar="TO_URL", help="An empty database, such as postgresql://user@host/name.")],
) -> None:
    """Copy a whole registry into an empty database, SQLite or PostgreSQL, and prove that it arrived.

    Stop the service first: what is written meanwhile is noticed, and nothing is copied then. The source stays as it is. A transfer
    that is broken off leaves the target empty, so it can be started again.
    """
    from rich.console import Console

    console = Console(stderr=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: _end_at_once(console, number))
    _print(_move(source, target, console))


def _end_at_once(console: "Console", number: int) -> None:
    """End as SIGKILL would, which both databases take well: what was not committed is undone. No thread has to be waited for."""
    cursor = SHOW_CURSOR if console.is_terminal else ""
    os.write(2, f"{cursor}Stopped: the source is as it was, and so is the target. Start again at any time.\n".encode())
    os._exit(128 + number)


def _move(source: str, target: str, console: "Console") -> "list[Proof]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from homedex.registry import schema
    from homedex.storage.urls import target_of

    with _named("FROM_URL"):
        source = target_of(source)
    with _named("TO_URL"):
        target = target_of(target)
    columns = (BarColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress, _named("the URL"):
        task = progress.add_task("starting", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        return schema.transfer(source, target, tell)


@contextmanager
def _named(argument: str) -> Iterator[None]:
    """Say of a URL given here what sentences about databases say of DATABASE_URL."""
    try:
        yield
    except HomedexError as error:
        error.detail = error.detail.replace("DATABASE_URL", argument)
        raise


def _print(proofs: "list[Proof]") -> None:
    rows: list[tuple[Any, ...]] = [("table", "rows read", "rows there", "digest read", "digest there")]
    for table, read, there in proofs:
        rows.append((table, f"{read.rows:,}", f"{there.rows:,}", read.digest, there.digest))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for table, *counts, read, there in rows:
        numbers = "  ".join(count.rjust(width) for count, width in zip(counts, widths[1:3], strict=True))
        typer.echo(f"{table.ljust(widths[0])}  {numbers}  {read.ljust(widths[3])}  {there}".rstrip())
    total = sum(proof.target.rows for proof in proofs)
    typer.echo(f"{total:,} rows in {len(proofs)} tables are there, every digest is the same, and search is ready.")
