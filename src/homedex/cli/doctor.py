"""The command that looks whether all is well."""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from homedex.registry.findings import Finding


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    repair: Annotated[str | None, typer.Option(metavar="NEW_FILE", help="Save what can be saved into a new file.")] = None,
) -> None:
    """Check the registry: library, settings, file, disk, schema, integrity, search, clock. It only reads.

    The exit code is that of the worst: 0 all is well, 20 a warning, 21 an error. What is wrong is followed by what to do.

    With --repair, save what can be saved of a damaged registry into NEW_FILE, and leave the damaged one as it is. Stop the service
    first.
    """
    if repair is not None:
        from homedex.cli.repair import save

        save(repair, as_json=as_json)
        return
    from homedex.registry.findings import EXIT_CODES, worst

    findings = _findings()
    level = worst(findings)
    if as_json:
        typer.echo(json.dumps({"level": level, "findings": [finding.as_dict() for finding in findings]}, indent=1))
    else:
        _print(findings)
    raise typer.Exit(EXIT_CODES[level])


def _findings() -> "list[Finding]":
    """A setting without meaning is a finding, too; only a DATABASE_URL without meaning leaves nothing to look at."""
    from homedex.cli.wire import backups_of, load_settings, registry_url
    from homedex.config import unknown_settings
    from homedex.errors import BadSetting
    from homedex.registry.checkup import examine
    from homedex.registry.findings import Finding
    from homedex.storage.urls import target_of

    target = target_of(registry_url())
    try:
        settings = load_settings()
        backups = backups_of(settings, target)
    except BadSetting as error:
        return [Finding("settings", error.detail, "error", error.advice), *examine(target)]
    unknown = unknown_settings(os.environ)
    said = Finding("settings", "all have a meaning")
    if unknown:
        said = Finding(
            "settings", f"no such setting: {', '.join(unknown)}", "warning", "Correct or remove it; the README lists them all."
        )
    return [said, *examine(target, synchronous=settings.synchronous, backups=backups)]


def _print(findings: "list[Finding]") -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        typer.echo(f"{finding.level:7}  {finding.what:{width}}  {finding.found}")
        if finding.advice:
            typer.echo(f"{'':7}  {'':{width}}  -> {finding.advice}")
