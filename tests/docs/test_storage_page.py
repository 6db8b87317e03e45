"""The page of the storage room: every public name is on it, and every example runs."""

import inspect
import json
import re
from pathlib import Path

import pytest

import homedex.storage
from documents import blocks, run
from strangers import strangers

PAGE = Path(__file__).parents[2] / "docs" / "storage.md"


def test_every_example_runs_and_needs_nothing_of_the_service(tmp_path: Path) -> None:
    done = run(PAGE, tmp_path, after="import json, sys; print(json.dumps([*sys.modules]))")
    assert done.returncode == 0, done.stderr
    assert strangers(json.loads(done.stdout.splitlines()[-1]), ["asyncpg"]) == []


@pytest.mark.parametrize("name", homedex.storage.__all__)
def test_a_public_name_has_a_section_with_an_example(name: str) -> None:
    own = [one for one in blocks(PAGE) if one.heading == f"`{name}`"]
    examples = [one.text for one in own if one.language == "python" and one.filename is None]
    assert any(re.search(rf"\b{name}\b", text) for text in examples)
    assert f"[`{name}`](#{name.lower()})" in PAGE.read_text()


@pytest.mark.parametrize("name", homedex.storage.__all__)
def test_a_public_name_says_what_it_is_for(name: str) -> None:
    said = getattr(homedex.storage, name).__doc__
    assert said is not None
    assert re.match(r"[A-Z].{20,}?[.:]", inspect.cleandoc(said))


def test_no_section_is_of_a_name_that_is_not_public() -> None:
    sections = re.findall(r"^### `(\w+)`$", PAGE.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(homedex.storage.__all__)
