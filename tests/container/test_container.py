"""The container files. The slow tests run the Dockerfile's own lines in a scratch folder, without an engine."""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
import yaml  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).parents[2]
PROGRAM, HOME = "/opt/homedex", "/app"
INSIDE = re.compile(rf"(?<![\w.])(?:/build|/wheels|{PROGRAM}|{HOME})\b")
# Root may write what `chmod a-w` forbids. Without its capabilities it may not, and compose.yaml drops them too.
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []


class Line(NamedTuple):
    """One instruction of the Dockerfile."""

    word: str
    rest: str


def stages() -> tuple[list[Line], list[Line]]:
    """The instructions of the builder and of the final image."""
    text = (REPOSITORY / "Dockerfile").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    lines = [Line(*line.split(maxsplit=1)) for line in code.replace("\\\n", " ").splitlines() if line.strip()]
    second = [at for at, line in enumerate(lines) if line.word == "FROM"][1]
    return lines[:second], lines[second:]


def only(lines: list[Line], word: str) -> str:
    (rest,) = [line.rest for line in lines if line.word == word]
    return rest


def environment(lines: list[Line]) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in lines if line.word == "ENV" for pair in shlex.split(line.rest))


def compose() -> Any:
    return yaml.safe_load((REPOSITORY / "compose.yaml").read_text())


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([hadolint, REPOSITORY / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_compose_has_one_service_with_its_data_in_one_volume() -> None:
    content = compose()
    assert list(content["services"]) == ["data-api"]
    assert list(content["volumes"]) == ["sqlite-data"]
    service = content["services"]["data-api"]
    assert service["volumes"] == ["sqlite-data:/app/data"]
    assert service["environment"]["DATABASE_URL"] == "sqlite:///./data/app.db"


def test_compose_publishes_on_loopback_only_and_takes_every_privilege() -> None:
    service = compose()["services"]["data-api"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108  (the container's own)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_images_are_named_without_a_registry() -> None:
    images = [line.rest.split()[0] for stage in stages() for line in stage if line.word == "FROM"]
    assert images == ["python:3.13-slim"] * 2
    assert "/" not in compose()["services"]["data-api"]["image"]


def test_the_image_serves_as_a_numbered_user_who_owns_only_the_data() -> None:
    _, final = stages()
    user, group = only(final, "USER").split(":")
    assert int(user) > 0
    assert f"--uid {user} " in only(final, "RUN")
    assert f"install --directory --owner={user} --group={group} --mode=0750 /app/data" in only(final, "RUN")
    assert only(final, "VOLUME") == "/app/data"
    assert only(final, "COPY") == f"--from=builder {PROGRAM} {PROGRAM}"


def test_the_image_stops_on_sigterm_and_asks_itself_whether_it_is_ready() -> None:
    _, final = stages()
    assert json.loads(only(final, "CMD")) == ["homedex", "serve"]
    assert only(final, "STOPSIGNAL") == "SIGTERM"
    assert health_command() == ["homedex", "health"]
    assert environment(final)["HOMEDEX_PORT"] == only(final, "EXPOSE")


def test_what_the_image_is_built_from_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    builder, _ = stages()
    copied = {source for line in builder if line.word == "COPY" for source in line.rest.split()[:-1]}
    assert copied == sent


def health_command() -> list[str]:
    _, final = stages()
    command: list[str] = json.loads(only(final, "HEALTHCHECK").split("CMD ", 1)[1])
    return command


@dataclass(frozen=True)
class Image:
    """What the Dockerfile's lines made, below `root`, and how a process of it runs."""

    root: Path
    port: int

    @property
    def program(self) -> Path:
        return Path(f"{self.root}{PROGRAM}")

    @property
    def data(self) -> Path:
        return Path(f"{self.root}{HOME}/data")

    def files(self) -> set[Path]:
        return set(self.program.rglob("*"))

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        _, final = stages()
        given = {name: placed(value, self.root) for name, value in environment(final).items()}
        given["PATH"] = string.Template(given["PATH"]).substitute(PATH=os.environ["PATH"])
        given |= {"HOMEDEX_HOST": "127.0.0.1", "HOMEDEX_PORT": str(self.port)}
        return subprocess.Popen([*UNPRIVILEGED, *command], cwd=f"{self.root}{HOME}", env=given)

    def run(self, command: list[str]) -> int:
        return self.start(command).wait(30)


def placed(text: str, root: Path) -> str:
    """The same with the image's paths moved below `root`."""
    return INSIDE.sub(lambda found: f"{root}{found.group()}", text)


def build(root: Path) -> None:
    """Do what the builder does, with this Python and pip's cache."""
    builder, _ = stages()
    given = os.environ | {name: placed(value, root) for name, value in environment(builder).items()}
    del given["PIP_NO_CACHE_DIR"]
    given["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"
    folder = Path(placed(only(builder, "WORKDIR"), root))
    folder.mkdir()
    (root / "opt").mkdir()
    for word, rest in builder:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(REPOSITORY / source, folder / target)
        elif word == "RUN":
            subprocess.run(["/bin/sh", "-c", placed(rest, root)], cwd=folder, env=given, check=True, timeout=300)


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="homedex-image-"))
    try:
        build(root)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            made = Image(root, free.getsockname()[1])
        made.data.mkdir(parents=True)
        made.data.parent.chmod(0o555)  # read_only in compose.yaml
        yield made
    finally:
        subprocess.run(["/bin/chmod", "-R", "u+w", root], check=True)
        shutil.rmtree(root)


@pytest.fixture
def service(image: Image) -> Iterator[subprocess.Popen[bytes]]:
    _, final = stages()
    process = image.start(json.loads(only(final, "CMD")))
    try:
        wait_until_ready(image.port, process)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended with exit code {process.returncode}"
        if answers(port):
            return
        time.sleep(0.05)
    pytest.fail("not ready after 30 s")


def answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False


@pytest.mark.slow
def test_the_program_is_read_only_and_complete_for_an_ordinary_user(image: Image) -> None:
    before = image.files()
    assert image.run(["touch", str(image.program / "written")]) != 0
    assert image.run(["homedex", "version"]) == 0
    assert image.files() == before
    assert any(path.suffix == ".pyc" for path in before), "every start would compile the program again"


@pytest.mark.slow
def test_health_fails_while_nothing_serves(image: Image) -> None:
    assert image.run(health_command()) != 0


@pytest.mark.slow
def test_the_service_is_healthy_and_ends_with_a_whole_database(image: Image, service: subprocess.Popen[bytes]) -> None:
    before = image.files()
    assert image.run(health_command()) == 0
    service.send_signal(signal.SIGTERM)
    assert service.wait(10) == 0
    assert image.files() == before
    with closing(apsw.Connection(str(image.data / "app.db"), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        assert database.pragma("integrity_check") == "ok"
        assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,)
