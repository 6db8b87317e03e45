"""The short way from a request to its endpoint: a plain ASGI layer in front of the framework.

FastAPI documents every route, and answers whatever is not plainly right: HEAD, an address or a method that is not there, an id that
breaks the rules. A request that is plainly right needs nothing of it: its middleware, its search through fifty routes, its solving
of dependencies that no endpoint here has took half of what a request cost (2026-11, fastapi 0.165).
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Target:
    """A route that can be gone to directly, and the rule for the one parameter in its path, if it has one."""

    route: APIRoute
    endpoint: Endpoint
    parameter: str | None
    rule: TypeAdapter[str] | None


class Direct:
    """Calls the endpoint that a request is plainly for, and has `framework` do with every other.

    Args:
        framework: what answers what does not go this way.
        app: whose routes and error handlers they are.
    """

    def __init__(self, framework: ASGIApp, app: FastAPI) -> None:
        self.framework, self.handlers = framework, app.exception_handlers
        self.exact: dict[tuple[str, str], Target] = {}
        self.below: dict[tuple[str, str, str], Target] = {}
        for target in _targets(route for route in app.routes if isinstance(route, APIRoute)):
            for method in (target.route.methods or set()) - {"HEAD"}:
                if target.parameter is None:
                    self.exact[method, target.route.path] = target
                else:
                    before, _, after = target.route.path.partition(f"{{{target.parameter}}}")
                    self.below[method, before, after] = target
        self.places = {before for _, before, _ in self.below}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = self._find(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if found is None:
            await self.framework(scope, receive, send)
            return
        target, values = found
        scope["route"], scope["endpoint"] = target.route, target.endpoint
        request = Request(scope, receive, send)
        try:
            response = await target.endpoint(request, *values)
        except Exception as error:
            handler: Any = next((self.handlers[kind] for kind in type(error).__mro__ if kind in self.handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[Target, tuple[str, ...]] | None:
        """What the request is plainly for, and the values in its path."""
        method, path = scope["method"], scope["path"]
        target = self.exact.get((method, path))
        if target is not None:
            return target, ()
        for before in self.places:
            if path.startswith(before):
                value, slash, after = path[len(before) :].partition("/")
                target = self.below.get((method, before, slash + after))
                return (target, (value,)) if target is not None and _obeys(target, value) else None
        return None


def _targets(routes: Iterable[APIRoute]) -> Iterable[Target]:
    """The routes whose endpoint takes the request and, at most, one text from the path."""
    for route in routes:
        request, *others = inspect.signature(route.endpoint, eval_str=True).parameters.values() or (None,)
        if request is None or request.annotation is not Request or len(others) > 1:
            continue
        name, rule = (others[0].name, TypeAdapter(others[0].annotation)) if others else (None, None)
        if [name] * len(others) == list(route.param_convertors):
            yield Target(route, route.endpoint, name, rule)


def _obeys(target: Target, value: str) -> bool:
    if not value or target.rule is None:
        return False
    try:
        target.rule.validate_python(value)
    except ValidationError:
        return False
    return True
