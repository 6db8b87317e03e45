import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from bench.publish import filled

from proof.__main__ import PAGE, main, put_to_the_test, verdict
from proof.answers import served
from proof.child import ProofError, seen_by
from proof.connections import ORPHAN_ROWS, PRAGMAS
from proof.fault import Seen, Side
from proof.faults import FAULTS
from proof.report import Found, blocks, table
from proof.times import NAIVE_TIMES

IMPOSSIBLE = Seen(shown=False, text="this SQLite has the fix", possible=False)
RIGHT = Seen(shown=False, text="nothing was lost")


def test_faults_show_in_the_recipe_and_not_in_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([PRAGMAS.name, ORPHAN_ROWS.name, NAIVE_TIMES.name]) == 0

    said = capsys.readouterr().out
    assert "foreign_keys=0" in said
    assert "3 of 3 faults show in the recipe, none in ours" in said


def test_a_fault_that_does_not_show_in_the_recipe_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(put_to_the_test([replace(NAIVE_TIMES, recipe=NAIVE_TIMES.ours)]), 0) == 1
    assert "naive-times did not show in the recipe" in capsys.readouterr().err


def test_a_fault_that_shows_in_ours_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(put_to_the_test([replace(ORPHAN_ROWS, ours=ORPHAN_ROWS.recipe)]), 0) == 1
    assert "orphans shows in ours: 10 of 10" in capsys.readouterr().err


def test_a_fault_that_cannot_show_here_is_told_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([Found(PRAGMAS, IMPOSSIBLE, RIGHT)], 0) == 0
    assert "pragmas cannot show on this machine" in capsys.readouterr().out


def test_a_side_that_sees_nothing_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="served ended with exit code 1: TypeError"):
        seen_by(cast("Side", served), tmp_path / "folder")


def test_the_table_has_all_of_a_long_text() -> None:
    assert table([Found(PRAGMAS, replace(RIGHT, text=" ".join(["word"] * 40)), RIGHT)]).count("word") == 40


def test_the_page_has_a_place_for_the_table_and_for_each_fault() -> None:
    found = [Found(fault, RIGHT, replace(RIGHT, text=f"{fault.name} in ours")) for fault in FAULTS]
    page = filled(PAGE.read_text(), blocks(found))

    assert all(page.count(f"{fault.name} in ours") == 2 for fault in FAULTS)
    assert set(re.findall(r"<!-- fault (.*?) -->", page)) == {fault.name for fault in FAULTS}
