"""Blocks of code on a page of the documentation: found, written to the files that they name, and run.

It is a program, too: `python documents.py PAGE` runs the page's Python blocks that name no file, one after another in one module.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

FENCE = re.compile(r"^( *)(`{3,}|~{3,})([^`]*)$")
FILE = re.compile(r"(?:[\w.-]+/)*(?:[\w-]*\.\w[\w.]*|Dockerfile|Makefile)")
FIRST_LINE = re.compile(rf"(?:#|;|//|--|<!--) ({FILE.pattern})(?: -->)?")
HEADING = re.compile(r"^(#+) (.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        language: the first word after the fence; "" where there is none.
        filename: the file that it is to be saved as: what follows the language (`python app/models.py`), or what its first line
            says as a comment (`# app/models.py`); None where neither names one.
        text: what is in it, that first line included.
        line: of the page, from 1 on, that its text begins at.
        heading: the nearest above it, as the page has it without its `#`; "" where there is none.
    """

    language: str
    filename: str | None
    text: str
    line: int
    heading: str = ""


def blocks(page: Path) -> list[Block]:
    """All blocks of a Markdown page, in its order."""
    found: list[Block] = []
    fence, indent, info, heading, start = "", 0, "", "", 0
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        mark = FENCE.match(line)
        if not fence and mark is not None:
            fence, indent, info, start = mark[2], len(mark[1]), mark[3].strip(), number + 1
        elif fence and mark is not None and mark[2].startswith(fence) and not mark[3].strip():
            text = "".join(f"{one[indent:]}\n" for one in lines[start - 1 : number - 1])
            found.append(_block(info, text, start, heading))
            fence = ""
        elif not fence and (title := HEADING.match(line)) is not None:
            heading = title[2]
    if fence:
        raise ValueError(f"{page}: the block at line {start} has no end")
    return found


def _block(info: str, text: str, line: int, heading: str) -> Block:
    language, _, rest = info.partition(" ")
    named = FILE.fullmatch(rest.strip())
    said = FIRST_LINE.fullmatch(text.partition("\n")[0])
    filename = named[0] if named is not None else said[1] if said is not None else None
    if filename is not None and ".." in Path(filename).parts:
        raise ValueError(f"line {line}: {filename} is no file of the folder")
    return Block(language, filename, text, line, heading)


def write(found: Iterable[Block], folder: Path) -> list[Path]:
    """Save the blocks that name a file, in their order: what comes later takes the place of what came before. The files."""
    files = []
    for block in found:
        if block.filename is not None:
            file = folder / block.filename
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            files.append(file)
    return files


def run(page: Path, folder: Path, *, after: str = "") -> "subprocess.CompletedProcess[str]":
    """Write a page's files into a folder and run its other Python blocks there: one process, one namespace, warnings are errors.

    Args:
        after: Python that is run after the last block, in the same namespace.
    """
    write(blocks(page), folder)
    command = [sys.executable, "-W", "error", __file__, str(page.resolve()), after]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)


def run_here(page: Path, after: str) -> None:
    """Run the blocks as the program's main module; an error's trace shows the line of the page."""
    sys.path[0] = os.getcwd()  # noqa: PTH109  (as text)
    main = sys.modules["__main__"] = ModuleType("__main__")
    for block in blocks(page):
        if block.language == "python" and block.filename is None:
            exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), main.__dict__)  # noqa: S102  (our own pages)
    exec(after, main.__dict__)  # noqa: S102


if __name__ == "__main__":
    run_here(Path(sys.argv[1]), sys.argv[2])
