"""Where the `type` of a problem leads: a page for each kind of error that says what happened and what to do."""

import html
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from homedex.errors import HomedexError, NoSuchPage

STYLE = (
    "body{font:1rem/1.5 system-ui;max-width:50rem;margin:3rem auto;padding:0 1rem}dt{margin-top:1rem;font-weight:600}dd{margin:0}"
    "code{background:#8882;padding:.2em .4em;border-radius:.3em;overflow-wrap:anywhere}"
)


async def list_problems(request: Request) -> Response:
    """Every kind of problem, in the order of the error tree."""
    all_kinds = kinds()
    if _prefers_json(request):
        return JSONResponse({"problems": [_facts(kind) for kind in all_kinds.values()]})
    rows = "".join(
        f"<dt><a href='/problems/{slug}'>{html.escape(kind.title)}</a> ({kind.status})</dt><dd>{_marked_up(_happened(kind))}</dd>"
        for slug, kind in all_kinds.items()
    )
    return _page("Problems", f"<p>What can go wrong, and what to do then.</p><dl>{rows}</dl>")


async def get_problem(request: Request) -> Response:
    """One kind of problem: what happened and what to do."""
    slug = request.path_params["slug"]
    kind = kinds().get(slug)
    if kind is None:
        raise NoSuchPage(f"there is no kind of problem {slug!r}. /problems lists those there are.")
    if _prefers_json(request):
        return JSONResponse(_facts(kind))
    return _page(
        kind.title,
        f"<p>Status {kind.status}, <code>{slug}</code></p>"
        f"<dl><dt>What happened</dt><dd>{_marked_up(_happened(kind))}</dd>"
        f"<dt>What to do</dt><dd>{_marked_up(kind.advice)}</dd></dl>"
        "<p><a href='/problems'>All problems</a></p>",
    )


PROBLEM_ROUTES = (("/problems", list_problems), ("/problems/{slug}", get_problem))


def kinds(root: type[HomedexError] = HomedexError) -> dict[str, type[HomedexError]]:
    """Every kind of error by its slug, parents before their children."""
    found = {root.slug: root}
    for child in root.__subclasses__():
        found |= kinds(child)
    return found


def _happened(kind: type[HomedexError]) -> str:
    return " ".join((kind.__doc__ or kind.title).split())


def _facts(kind: type[HomedexError]) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "what_happened": _happened(kind),
        "what_to_do": kind.advice,
    }


def _page(title: str, content: str) -> Response:
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)} - Homedex</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>{content}"
    )


def _marked_up(sentences: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(sentences))


def _prefers_json(request: Request) -> bool:
    """Whether JSON is named, and page is not or with less weight: `*/*` alone gets the page."""
    wanted = {"application/json": 0.0, "text/html": 0.0}
    for media_range in request.headers.get("accept", "").split(","):
        kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
        if kind in wanted:
            weights = [parameter[2:] for parameter in parameters if re.fullmatch(r"q=[01](\.\d{0,3})?", parameter)]
            wanted[kind] = float(weights[0]) if weights else 1.0
    return wanted["application/json"] > wanted["text/html"]
