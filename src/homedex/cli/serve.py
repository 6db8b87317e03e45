"""The commands that run or ask the service: serve, demo, health."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homedex.errors import BadSetting, SourceUnreachable

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from homedex.config import Settings
    from homedex.registry.backups import Backups
    from homedex.storage.damage import Damage
    from homedex.storage.database import Database

GRACE_S = 5
HOUR_S = 3600


def serve(
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that serve at once; without it HOMEDEX_WORKERS, or 1.")
    ] = None,
) -> None:
    """Migrate, then serve the registry over HTTP until SIGTERM or Ctrl-C."""
    end_in_order()
    from homedex.cli.wire import load_settings, registry_target

    settings = load_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    target = registry_target(settings, create=True)
    run(settings, target, listen(settings))


def demo() -> None:
    """Serve a scratch registry with a made-up home: 240 devices in 12 areas, 1,400 entities, always the same."""
    end_in_order()
    import asyncio
    import tempfile

    from homedex.cli.wire import lane_settings, load_settings
    from homedex.ingest import demo as made_up
    from homedex.registry import schema

    settings = load_settings().model_copy(
        update={"database_url": "sqlite:///demo.db", "replica_url": None, "backup_schedule": "off", "workers": 1}
    )
    try:
        listening = listen(settings)
    except BadSetting:
        if "HOMEDEX_PORT" in os.environ:
            raise
        listening = listen(settings.model_copy(update={"port": 0}))  # `serve` runs already: any other port will do
    with tempfile.TemporaryDirectory(prefix="homedex-demo-") as folder:
        path = f"{folder}/demo.db"

        async def fill() -> None:
            database = schema.open_registry(path, **lane_settings(settings))
            await made_up.fill(database)
            await database.close()

        asyncio.run(fill())
        base = address(settings, listening)
        typer.echo(
            "A made-up home: 240 devices, 1,400 entities; gone when you stop it. Try:\n"
            f"  curl '{base}/api/v1/devices?area_id=kitchen&limit=3'\n"
            f"  curl '{base}/api/v1/entities?domain=light&manufacturer=Signify&limit=3'\n"
            f"  curl '{base}/api/v1/devices/demo:kitchen-01'"
        )
        run(settings, path, listening)


def openapi() -> None:
    """Print the OpenAPI document of the service."""
    import json

    from homedex.api.app import openapi_document

    typer.echo(json.dumps(openapi_document(), indent=1, ensure_ascii=False))


def health() -> None:
    """Ask the running service whether it is ready; exit 0 if so, 10 if not."""
    import http.client
    import urllib.error
    import urllib.request

    from homedex.cli.wire import load_settings

    settings = load_settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  (read, not bound)
    host = f"[{host}]" if ":" in host else host
    url = f"http://{host}:{settings.port}/readyz"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            typer.echo(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise SourceUnreachable(f"{url} answers {error.code}: {error.read().decode()}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceUnreachable(f"{url} does not answer ({error}). Is `homedex serve` running?") from None


def end_in_order() -> None:
    """From now on SIGTERM, and a terminal that is closed, end the program by way of every `finally`, with exit code 0."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(os.EX_OK))


def listen(settings: "Settings") -> "socket.socket":
    """A bound socket, before anything slow is done.

    Raises:
        BadSetting: the address is not allowed, does not exist here, or is taken.
    """
    import ipaddress
    import socket

    try:
        family, _, _, _, place = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name"
        raise BadSetting(f"HOMEDEX_HOST={settings.host!r} is no address of this machine: {reason}.") from None
    if not ipaddress.ip_address(place[0]).is_loopback and not settings.insecure_bind:
        raise BadSetting(
            f"HOMEDEX_HOST={settings.host} can be reached by others, and there is no log-in yet: anyone could read and change the "
            "registry. Use 127.0.0.1 behind a proxy that asks for a password, or set HOMEDEX_INSECURE_BIND=1 in a network of yours."
        )
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(place)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        place_said = f"{settings.host} port {settings.port}"
        raise BadSetting(f"cannot listen on {place_said}: {reason}. Stop what uses it, or set HOMEDEX_PORT to another.") from None
    return listening


async def forget_changes(database: "Database", keep_days: int) -> None:
    """Every hour forget the changes that are older than they are to be kept."""
    import asyncio
    import logging
    from datetime import UTC, datetime, timedelta

    from homedex.errors import HomedexError
    from homedex.registry import changes

    while keep_days:
        try:
            await database.write(changes.prune, keep=timedelta(days=keep_days), now=datetime.now(UTC))
        except HomedexError as error:  # it will be tried again
            logging.getLogger(__name__).warning("old changes were not forgotten: %s", error)
        except Exception:
            logging.getLogger(__name__).exception("old changes were not forgotten; it is tried again in an hour")
        await asyncio.sleep(HOUR_S)


def address(settings: "Settings", listening: "socket.socket") -> str:
    """Where the service can be asked."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def run(settings: "Settings", target: str, listening: "socket.socket") -> None:
    """Serve a registry, in a file or on a server, until told to stop: in this process, or in several that it starts."""
    import gc
    import logging
    import signal
    from functools import partial

    from homedex.api import logs
    from homedex.cli.wire import backup_dir, backups_of
    from homedex.cli.workers import Workers
    from homedex.config import unknown_settings
    from homedex.registry import schema
    from homedex.storage.damage import Damage

    served = Served(settings, target, listening, address(settings, listening), backups_of(settings, target), Damage(target))
    logs.configure(settings.log_level, settings.log_format)
    for name in unknown_settings(os.environ):
        logging.getLogger(__name__).warning("there is no such setting as %s", name)
    schema.upgrade(target, backup_dir=backup_dir(settings))
    import homedex.api.app  # noqa: F401  (once, before there are several)

    # What start-up made stays for good: looking through it again and again took 60 ms a time and made the p99 (2026-11).
    gc.collect()
    gc.freeze()
    if settings.workers > 1:
        Workers(settings.workers, listening, partial(work, served)).run()
    else:
        # uvicorn raises the signal again once it has shut down: then it means that all went well.
        signal.signal(signal.SIGINT, lambda *_: sys.exit(os.EX_OK))
        work(served)


@dataclass(frozen=True, slots=True)
class Served:
    """What is served and where: the same in each process that does."""

    settings: "Settings"
    target: str
    listening: "socket.socket"
    address: str
    backups: "Backups"
    damage: "Damage"


def work(served: Served, number: int = 0, channel: "socket.socket | None" = None) -> None:
    """Serve until told to stop. The first of several does for all what is to be done once.

    Args:
        number: which of several this is.
        channel: where connections come from, if another process accepts them.
    """
    import asyncio

    import uvicorn

    from homedex.api.app import create_app
    from homedex.api.handed import HandedServer
    from homedex.api.protocol import ProblemProtocol
    from homedex.cli.wire import lane_settings
    from homedex.registry import schema
    from homedex.storage.database import Database
    from homedex.storage.sqlite import CACHE_BUDGET_KIB
    from homedex.storage.urls import is_postgresql

    settings, share = served.settings, served.settings.workers
    own = {} if is_postgresql(served.target) else {"page_cache_kib": CACHE_BUDGET_KIB // share, "damage": served.damage}
    database = Database.open(served.target, application_id=schema.APPLICATION_ID, **lane_settings(settings), **own)
    config = uvicorn.Config(
        create_app(
            database,
            backups=served.backups,
            allowed_hosts=settings.hosts(),
            access_log=settings.access_log,
            cache_bytes=settings.cache_mb * 1024 * 1024 // share,
        ),
        http=ProblemProtocol,
        ws="none",  # no route speaks WebSocket: one that asks for it is answered like any other
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        proxy_headers=False,
    )

    async def serve_until_told() -> None:
        server = uvicorn.Server(config) if channel is None else HandedServer(config, channel)
        once = [asyncio.create_task(one) for one in await _for_all(served, database)] if number == 0 else []
        await server.serve(sockets=[served.listening])
        for task in once:
            task.cancel()
        await database.close()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve_until_told())


async def _for_all(served: Served, database: "Database") -> "list[Coroutine[Any, Any, None]]":
    """Say where the service can be asked, and what is to be done beside serving, by one process alone."""
    import logging
    from functools import partial

    from homedex.api.app import utc_now
    from homedex.api.health import has_devices, ways_to_fill

    settings, base = served.settings, served.address
    say = logging.getLogger(__name__).info if settings.log_format == "json" else partial(typer.echo, err=True)
    say(f"Homedex serves {database.shown} at {base} (questions it takes: /docs)")
    if not await database.read(has_devices):
        program = sys.argv[0] if sys.argv[0].endswith("bin/homedex") else "homedex"
        lines = "\n".join(f"  {whence}:\n    {command}" for whence, command in ways_to_fill(base, program))
        say(f"The registry is empty. Fill it\n{lines}")
    return [
        forget_changes(database, settings.keep_changes_days),
        served.backups.run(database, utc_now),
        database.look_for_damage(),
    ]
