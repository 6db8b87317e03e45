"""`homedex` and `python -m homedex`: run a command; say errors in one line and by an exit code."""

import sys

from homedex.errors import HomedexError, StorageUnavailable


def main() -> None:
    """Run the command line."""
    from homedex.cli import app  # noqa: PLC0415  (after the error tree, so that an import that fails is said well, too)

    try:
        app()
    except HomedexError as error:
        print(error, file=sys.stderr)  # noqa: T201  (the command line's voice)
        sys.exit(error.exit_code)
    except OSError as error:  # what was asked for could not be written out: a full disk, a closed terminal
        print(f"Output failed: {error.strerror or error}.", file=sys.stderr)  # noqa: T201
        sys.exit(StorageUnavailable.exit_code)


if __name__ == "__main__":
    main()
