"""The rows of a bulk request mean the same, whether they are read in pieces or one by one."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homedex.api import bulk_rows
from homedex.api.bulk_rows import edits_of, rows_of
from homedex.api.deps import parse_json
from homedex.errors import HomedexError
from homedex.registry.edits import Edit

letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
texts = st.text(letters, max_size=8) | st.sampled_from(['":', '\\":', ' "a" : 1'])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # the others are no JSON
right = {
    "name": st.none() | texts,
    "model": st.none() | texts,
    "labels": st.none() | st.lists(texts, max_size=2),
    "identifiers": st.none() | st.lists(st.lists(texts, min_size=2, max_size=3), max_size=2),
    "extra": st.none() | st.dictionaries(texts, st.none() | st.integers() | FLOATS | texts, max_size=2),
    "last_seen": st.sampled_from([None, "2026-11-22T13:52:56Z", "2026-11-22T13:52:56.25+05:00"]),
    "source_values": st.sampled_from([None, {}, {"name": None}]),
    "version": st.integers(),
    "created_at": st.just("2026-11-22T13:52:56Z"),
}
ids = st.sampled_from(["a", "b", "c:1", "d-2"])
good = st.fixed_dictionaries({"device_id": ids}, optional=right)
no_ids = st.sampled_from(["", ".", "a b", "x" * 256, 7, None])
no_names = st.sampled_from([0, True, "x" * 1025, [], ["x"], {"x": "y"}])
wrong: st.SearchStrategy[Any] = (
    st.fixed_dictionaries({"device_id": no_ids}, optional=right)
    | st.fixed_dictionaries({"device_id": ids, "colour": st.just("red")})
    | st.fixed_dictionaries({"device_id": ids, "name": no_names})
    | st.fixed_dictionaries({"device_id": ids, "last_seen": st.sampled_from(["2026-11-22", "1", 5, "2026-11-22T13:52:56"])})
    | st.fixed_dictionaries({"device_id": ids, "identifiers": st.sampled_from([[["one"]], [[1, 2]], {}, "x", [{"a": 1}]])})
    | st.sampled_from([None, [], 3, "x", {}, {"name": "no id"}, {"device_id": "a", "extra": [1]}])
)
spaced = st.sampled_from([None, (", ", ": "), (",", ":"), (" ,\n", "\t : ")])


def read_rows(noun: str, raw: bytes, *, lines: bool) -> list[Edit]:
    return edits_of(noun, rows_of(noun, raw, lines=lines))


def meaning(edit: Edit) -> Any:
    """An edit, with what its error says in its place."""
    error = edit.error and (type(edit.error), edit.error.detail, edit.error.extensions)
    return edit._replace(values=json.dumps(edit.values, default=str), error=None), error  # type: ignore[arg-type]


def one_by_one(noun: str, rows: list[Any]) -> list[Any]:
    return [meaning(row if isinstance(row, Edit) else bulk_rows._edit_of(noun, row, place)) for place, row in enumerate(rows)]


@given(st.lists(good, max_size=4), st.lists(good | wrong, max_size=4), spaced)
@example([{"device_id": "a", "name": "1", "version": 3}] * 150, [{"device_id": "b", "name": 1}], None)
def test_in_pieces_rows_mean_what_they_mean_one_by_one(first: list[Any], then: list[Any], separators: Any) -> None:
    rows = [*first, *then]
    raw = json.dumps({"devices": rows}, separators=separators).encode()
    assert [meaning(edit) for edit in read_rows("devices", raw, lines=False)] == one_by_one("devices", parse_json(raw)["devices"])
    lines = "\n".join(json.dumps(row, separators=separators and (",", ":")) for row in rows).encode()
    assert [meaning(edit) for edit in read_rows("devices", lines, lines=True)] == one_by_one("devices", rows)


def test_entities_are_read_in_pieces_too() -> None:
    rows = [
        {"entity_id": "light.a", "name": "A"},
        {"id": "x", "entity_id": "light.b", "source_id": "home"},
        {"entity_id": "nothing"},
    ]
    raw = json.dumps({"entities": rows}).encode()
    assert [meaning(edit) for edit in read_rows("entities", raw, lines=False)] == one_by_one("entities", rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1, "a": 2}', None),
        ('{"name": 1, "na\\u006de": 2}', None),
        ('{"a": NaN}', None),
        ('{"a": "\\u0000"}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a": 1} 2', None),
        ('{"a": [{"b": 1, "b": 2}]}', None),
        ('{"a" : "\\":", "b"\n:[["c"], 1.5, true, null]}', {"a": '":', "b": [["c"], 1.5, True, None]}),
        ('{"a": 12345678901234567890123, "b": 1}', {"a": 12345678901234567890123, "b": 1}),
    ],
)
def test_an_object_is_read_strictly_by_the_faster_parser_too(text: str, found: Any) -> None:
    if found is None:
        with pytest.raises(HomedexError):
            parse_json(text.encode())
    else:
        assert parse_json(text.encode()) == found


TWICE = '{"device_id": "a", "name": "1", "name": "2"}'


@pytest.mark.parametrize(
    "body",
    [
        f'{{"devices": [{TWICE}]}}',
        '{"devices": [{"device_id": "a", "name" : "1", "name"\n:"2"}]}',
        '{"devices": [{"device_id": "a", "extra": {"k": 1, "k": 2}}]}',
        '{"devices": [], "devices": [{"device_id": "a"}]}',
        '{"devices": [{"device_id": "a", "device_id": "a", "name": "\\":"}]}',
        '{"devices": [{"device_id": "a", "name": "\\u0000"}]}',
        '{"devices": [{"device_id": "a", "name": "\\ud800"}]}',
        '{"devices": [{"device_id": "a", "extra": {"n": NaN}}]}',
        '{"devices": [{"device_id": "a", "extra": NaN}]}',
        '{"devices": [{"device_id": "a"}]} 1',
        '{"devices": [{"device_id": "a"},]}',
        '{"devices": [{"device_id": "a", "name": "\t"}]}',
        '\ufeff{"devices": []}',
    ],
)
def test_what_the_strict_parser_refuses_is_refused(body: str) -> None:
    raw = body.encode()
    with pytest.raises(HomedexError) as strict:
        parse_json(raw)
    with pytest.raises(HomedexError) as found:
        read_rows("devices", raw, lines=False)
    assert (type(found.value), found.value.detail) == (type(strict.value), strict.value.detail)


def test_lines_do_not_run_into_one_another() -> None:
    lines = [
        b'{"device_id": "a"',
        b'"name": "b"}',
        b'{"device_id": "c"}, {"device_id": "d"}',
        TWICE.encode(),
        b'{"device_id": "e"}',
    ]
    edits = read_rows("devices", b"\n".join(lines), lines=True)
    assert [(edit.key, edit.error is None) for edit in edits] == [("", False)] * 4 + [("e", True)]


@pytest.mark.parametrize("between", ['"x"', "{}", '"\\u0000"'])
def test_lines_that_make_up_for_one_another_are_wrong_all_the_same(between: str) -> None:
    """Two that are one object only together, and one that is two: as many objects as lines."""
    lines = ['{"device_id": "a", "labels": ["x"', '"y"]}', f'{{"device_id": "b"}},{between},{{"device_id": "c"}}']
    edits = read_rows("devices", "\n".join(lines).encode(), lines=True)
    assert [edit.error is None for edit in edits] == [False] * 3
