"""Problem documents, whoever raised the error, and the pages that their `type` leads to."""

import re

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from homedex import errors
from homedex.api.problem_pages import kinds
from homedex.api.problems import MEDIA_TYPE

pytestmark = pytest.mark.sqlite

ALL_KINDS = list(kinds().values())
JSON = {"accept": "application/json"}


def failing(client: TestClient, error: Exception) -> None:
    """Give the app a route that raises."""

    async def fail() -> None:
        raise error

    client.app.add_api_route("/fails", fail)  # type: ignore[attr-defined]


def all_classes(root: type[errors.HomedexError]) -> list[type[errors.HomedexError]]:
    return [root, *(found for child in root.__subclasses__() for found in all_classes(child))]


def test_every_error_is_a_kind_of_its_own() -> None:
    assert all_classes(errors.HomedexError) == ALL_KINDS


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_error_says_what_happened_and_what_to_do(kind: type[errors.HomedexError]) -> None:
    own = vars(kind)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", own["slug"])
    for sentences in (own["__doc__"], own["advice"]):
        assert re.fullmatch(r"[A-Z].+\.", sentences)
    assert own["title"]


def test_the_picture_of_the_tree_is_true() -> None:
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+) +(\d+)  exit (\d+)", errors.__doc__ or "", re.MULTILINE)
    tree = [("HomedexError", 500, 1)] + [
        (name, int(status), int(code)) for _, name, status, code in drawn if name != "HomedexError"
    ]
    assert sorted(tree) == sorted((kind.__name__, kind.status, kind.exit_code) for kind in ALL_KINDS)
    for lead, name, _, _ in drawn[1:]:
        assert len(getattr(errors, name).__mro__) - len(errors.HomedexError.__mro__) == len(lead) // 4


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_type_leads_to_a_page_for_people_and_one_for_programs(client: TestClient, kind: type[errors.HomedexError]) -> None:
    page, facts = client.get(f"/problems/{kind.slug}"), client.get(f"/problems/{kind.slug}", headers=JSON).json()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"<h1>{kind.title}</h1><p>Status {kind.status}" in page.text
    assert "`" not in page.text
    assert facts == {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "what_happened": kind.__doc__,
        "what_to_do": kind.advice,
    }


def test_the_list_of_problems_leads_to_each(client: TestClient) -> None:
    links = re.findall(r"href='(/problems/[^']+)'", client.get("/problems").text)
    assert links == [f"/problems/{kind.slug}" for kind in ALL_KINDS]
    assert [facts["type"] for facts in client.get("/problems", headers=JSON).json()["problems"]] == links


def test_a_page_for_no_kind_of_problem_is_a_problem(client: TestClient) -> None:
    answer = client.get("/problems/<b>")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-page")


def test_a_page_takes_get_and_head_alone(client: TestClient) -> None:
    assert client.head("/problems/busy").status_code == 200
    answer = client.delete("/problems/busy")
    assert (answer.headers["allow"], answer.json()["detail"]) == (
        "GET, HEAD",
        "/problems/busy does not take DELETE, but GET, HEAD.",
    )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/html;q=0.9, application/json;q=0.5", "text/html"),
        ("application/json", "application/json"),
        ("Application/JSON, text/plain, */*", "application/json"),
        ("text/html;q=0.5, application/json;q=0.9", "application/json"),
        ("application/json;q=0", "text/html"),
        ("application/json;q=x;,;;=,text/html", "text/html"),
    ],
)
def test_the_page_comes_in_the_type_that_is_preferred(client: TestClient, accept: str, kind: str) -> None:
    assert client.get("/problems/busy", headers={"accept": accept}).headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        (400, errors.MalformedBody),
        (401, errors.BadRequest),
        (404, errors.NoSuchPage),
        (405, errors.MethodNotAllowed),
        (406, errors.NotAcceptable),
        (413, errors.TooLarge),
        (415, errors.UnsupportedMediaType),
        (418, errors.BadRequest),
        (422, errors.Invalid),
        (500, errors.HomedexError),
        (503, errors.HomedexError),
    ],
)
def test_what_the_framework_raises_is_one_of_our_kinds(client: TestClient, status: int, meant: type[errors.HomedexError]) -> None:
    failing(client, HTTPException(status, "inner words"))
    answer = client.get("/fails")
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (meant.status, MEDIA_TYPE)
    assert (problem["type"], problem["title"], problem["status"]) == (f"/problems/{meant.slug}", meant.title, meant.status)
    assert client.get(problem["type"]).status_code == 200
    assert ("inner words" in answer.text) == (status < 500 and status not in {404, 405})


@pytest.mark.parametrize("kind", [kind for kind in ALL_KINDS if kind is not errors.Moved])
def test_an_error_of_ours_is_a_document_of_its_class(client: TestClient, kind: type[errors.HomedexError]) -> None:
    failing(client, kind("it broke."))
    answer = client.get("/fails")
    assert (answer.status_code, answer.json()) == (
        kind.status,
        {
            "type": f"/problems/{kind.slug}",
            "title": kind.title,
            "status": kind.status,
            "detail": "it broke.",
            "instance": "/fails",
            "request_id": answer.headers["x-request-id"],
        },
    )
    assert answer.headers.get("retry-after") == (str(kind.retry_after_s) if kind.retry_after_s else None)


def test_an_error_may_carry_more_than_its_sentence(client: TestClient) -> None:
    failing(client, errors.BulkRefused("row 2 has no id.", [{"pointer": "#/1", "detail": "no id"}], taken=0))
    problem = client.get("/fails").json()
    assert (problem["errors"], problem["taken"]) == ([{"pointer": "#/1", "detail": "no id"}], 0)


def test_a_bug_is_a_problem_that_tells_nothing_but_its_request(client: TestClient) -> None:
    failing(client, ValueError("SELECT secret FROM sources"))
    answer = client.get("/fails", headers={"x-request-id": "my-own.1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "my-own.1")
    assert answer.json() == {
        "type": "/problems/internal",
        "title": "Internal error",
        "status": 500,
        "detail": "something went wrong here, and was logged.",
        "instance": "/fails",
        "request_id": "my-own.1",
    }


def test_a_body_that_is_no_json_is_malformed(client: TestClient) -> None:
    answer = client.put("/api/v1/devices/a", content=b'{"name": ', headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-body")


def test_a_body_of_another_type_is_unsupported(client: TestClient) -> None:
    answer = client.put("/api/v1/devices/a", content=b"a", headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")


def test_a_path_is_named_as_in_an_address(client: TestClient) -> None:
    assert client.get("/no%20where%0A%C3%A9").json()["instance"] == "/no%20where%0A%C3%A9"
