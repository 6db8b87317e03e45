"""Which modules a program that uses the storage room alone has no business with."""

from collections.abc import Iterable

PACKAGES = ("fastapi", "starlette", "pydantic", "pydantic_settings", "typer", "rich", "uvicorn", "websockets")
ROOM = ("homedex.storage", "homedex.errors")


def strangers(loaded: Iterable[str], also: Iterable[str] = ()) -> list[str]:
    """Those among the names of modules that are of the service, or of `also`."""
    unwanted = {*PACKAGES, *also}
    return sorted(
        name for name in loaded if name.split(".")[0] in unwanted or (name.startswith("homedex.") and not name.startswith(ROOM))
    )
