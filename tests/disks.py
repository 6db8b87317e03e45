"""File systems of their own for tests, which only root can mount."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotMounted(Exception):
    """This user may not mount it, or a program is missing."""


def ext4(image: Path, size_bytes: int, *options: str) -> Path:
    """A new file with an ext4 file system in it.

    Raises:
        NotMounted: there is no mkfs.ext4.
    """
    program = shutil.which("mkfs.ext4", path=f"/usr/sbin:/sbin:{os.environ['PATH']}")
    if program is None:
        raise NotMounted("there is no mkfs.ext4")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run([program, "-q", *options, image], check=True)
    return image


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """A file system at a folder while the block lasts.

    Args:
        arguments: of mount, without the folder.
    Raises:
        NotMounted: it could not be.
    """
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise NotMounted(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607
