"""A PostgreSQL server that cannot be used: one line that says why, an exit code, no traceback, and never the password."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from homedex.registry import schema
from ports import free_port
from servers import Server, started
from service import environment, homedex

pytestmark = pytest.mark.slow

SECRET = "s3cr/t#?:%x"
ENCODED = "s3cr%2Ft%23%3F%3A%25x"
NO_ASYNCPG = "import sys; sys.modules['asyncpg'] = None; from homedex.__main__ import main; main()"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that also listens on loopback, where it asks for a password."""
    with started() as made:
        made.execute(f"CREATE ROLE someone LOGIN PASSWORD '{SECRET}'", "CREATE DATABASE registry OWNER someone")
        made.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "CREATE DATABASE foreign_one")
        made.execute("CREATE TABLE wares (id int)", name="foreign_one")
        made.execute("CREATE DATABASE with_alembic")
        made.execute("CREATE TABLE alembic_version (version_num text)", "CREATE TABLE users (id int)", name="with_alembic")
        made.execute("INSERT INTO alembic_version VALUES ('ae1027a6acf')", name="with_alembic")
        made.emptied("newer")
        made.execute("UPDATE alembic_version SET version_num = '9999'", name="newer")
        made.stop("fast")
        hba = made.folder / "pg_hba.conf"
        hba.write_text("local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        made.port = free_port()
        made.options = f"-h 127.0.0.1 -p {made.port} -k {made.folder}"
        made.uri += f"&port={made.port}"
        made.start()
        yield made


def refused(command: str, url: str, code: int, said: str, **settings: str) -> None:
    """Check that a command ends with one line and a code."""
    done = homedex(command, path=Path("nowhere"), settings={"DATABASE_URL": url, "HOMEDEX_PORT": "0"} | settings)
    assert (done.returncode, done.stderr.count("\n"), said in done.stderr, done.stdout) == (code, 1, True, ""), done.stderr
    for secret in (SECRET, ENCODED, "s3cr", "t%23", "t#"):
        assert secret not in done.stderr


@pytest.mark.parametrize("command", ["serve", "devices"])
def test_a_server_that_refuses_the_connection(command: str) -> None:
    url = f"postgresql://someone:{ENCODED}@127.0.0.1:{free_port()}/registry"
    refused(command, url, 7, "someone@127.0.0.1", LC_ALL="C")


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("postgresql://u:SECRET@no-such-host.invalid/d", 7, "u@no-such-host.invalid/d does not answer: "),
        ("postgresql:///d?host=/nowhere&password=SECRET", 7, "does not answer: No such file or directory"),
        ("postgresql://someone:wrong@127.0.0.1:PORT/registry", 7, "refuses this user or password"),
        ("postgresql://someone:SECRETwrong@127.0.0.1:PORT/registry", 7, "refuses this user or password"),
        ("postgresql://someone:SECRET@127.0.0.1:PORT/none", 7, "/none does not exist. Make it with `createdb`"),
        ("postgresql://someone:SECRET@127.0.0.1:PORT/registry?pool_size=5", 2, 'unrecognized configuration parameter "pool_size"'),
        ("postgresql://someone:SECRET@127.0.0.1:PORT/registry?sslmode=perhaps", 2, "sslmode"),
        ("postgresql://someone:SECRET@127.0.0.1:PORT/registry?sslmode=require", 7, "rejected SSL upgrade"),
        ("postgresql://someone:SECRET@127.0.0.1:PORT/registry?work_mem=much", 2, 'invalid value for parameter "work_mem"'),
        ("postgresql://someone:SECRET@127.0.0.1:seven/registry", 2, "DATABASE_URL is not a database URL"),
        ("postgresql://someone:SECRET@127.0.0.1:PORT", 2, "DATABASE_URL names no database"),
        ("postgresql://postgres@/foreign_one?host=FOLDER&port=PORT", 8, "has tables of another program"),
        ("postgresql://postgres@/with_alembic?host=FOLDER&port=PORT", 8, "has tables of another program"),
        ("postgresql://postgres@/newer?host=FOLDER&port=PORT", 9, "has schema 9999"),
        ("postgresql://postgres@/latin?host=FOLDER&port=PORT", 7, "keeps texts as LATIN1"),
    ],
)
def test_a_url_that_cannot_be_used(server: Server, url: str, code: int, said: str) -> None:
    for secret in (SECRET, ENCODED) if "SECRET" in url and "@127" in url else (ENCODED,):
        filled = url.replace("SECRET", secret).replace("PORT", str(server.port)).replace("FOLDER", str(server.folder))
        refused("serve", filled, code, said)


@pytest.mark.parametrize("secret", [ENCODED, SECRET])
def test_a_password_with_any_signs_in_it_is_taken(server: Server, secret: str) -> None:
    url = f"postgresql://someone:{secret}@127.0.0.1:{server.port}/registry"
    done = homedex("doctor", path=Path("nowhere"), settings={"DATABASE_URL": url})
    assert f"someone@127.0.0.1:{server.port}/registry" in done.stdout
    assert "s3cr" not in done.stdout + done.stderr


def test_a_standby_is_not_written_to(server: Server) -> None:
    schema.upgrade(server.url("registry"))
    server.stop("fast")
    (server.folder / "standby.signal").touch()
    server.start()
    try:
        refused("serve", server.url("registry"), 7, "is a standby, which cannot be written to")
    finally:
        server.control("promote")


@pytest.mark.parametrize(
    ("url", "replica", "said"),
    [
        ("sqlite:///here.db", "postgresql://u:SECRET@h/d", "HOMEDEX_REPLICA_URL names a standby of a PostgreSQL server"),
        ("postgresql://u:SECRET@h/d", "sqlite:///here.db", "HOMEDEX_REPLICA_URL names a standby of a PostgreSQL server"),
        ("postgresql://u:SECRET@h/d", "nonsense", "HOMEDEX_REPLICA_URL is not a database URL"),
        ("postgresql://u:SECRET@h/d", "mysql://u:SECRET@h/d", "HOMEDEX_REPLICA_URL names mysql"),
    ],
)
def test_a_replica_that_makes_no_sense(url: str, replica: str, said: str) -> None:
    refused("serve", url.replace("SECRET", ENCODED), 2, said, HOMEDEX_REPLICA_URL=replica.replace("SECRET", ENCODED))


@pytest.mark.parametrize("command", ["serve", "devices", "doctor"])
def test_without_asyncpg_a_server_is_refused_and_a_file_is_not(command: str, registry_file: Path) -> None:
    program = [sys.executable, "-c", NO_ASYNCPG, command]
    variables = environment(registry_file, DATABASE_URL=f"postgresql://u:{ENCODED}@h/d")
    done = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n"), "pip install 'homedex[postgres]'" in done.stderr) == (2, 1, True), done.stderr
    if command != "serve":
        assert subprocess.run(program, env=environment(registry_file), capture_output=True, timeout=60, check=False).returncode == 0
