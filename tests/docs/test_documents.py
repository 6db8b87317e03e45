"""How blocks of code are found on a page, saved and run."""

from pathlib import Path

import pytest

from documents import blocks, run, write

PAGE = """# Title

```python
# app/models.py
x = 1
```

## Second

Text with ```three``` in it.

- in a list
  ~~~ini alembic.ini
  [alembic]
    indented = 1
  ~~~

```sh
# not a file, but a remark
ls
```

````text
```python
print("not run")
```
````

```python
from app.models import x
y = x + 1
```

```python
assert y == 2
print("ran")
```
"""


def saved(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_blocks_are_found_with_their_file_and_line(tmp_path: Path) -> None:
    found = [(one.language, one.filename, one.line, one.heading) for one in blocks(saved(tmp_path, PAGE))]
    assert found == [
        ("python", "app/models.py", 4, "Title"),
        ("ini", "alembic.ini", 14, "Second"),
        ("sh", None, 19, "Second"),
        ("text", None, 24, "Second"),
        ("python", None, 30, "Second"),
        ("python", None, 35, "Second"),
    ]


def test_named_blocks_are_saved_without_the_list_they_stand_in(tmp_path: Path) -> None:
    write(blocks(saved(tmp_path, PAGE)), tmp_path)
    assert (tmp_path / "app/models.py").read_text() == "# app/models.py\nx = 1\n"
    assert (tmp_path / "alembic.ini").read_text() == "[alembic]\n  indented = 1\n"


def test_a_page_is_run_as_one_program(tmp_path: Path) -> None:
    done = run(saved(tmp_path, PAGE), tmp_path, after="print(y)")
    assert (done.returncode, done.stdout) == (0, "ran\n2\n"), done.stderr


def test_an_error_is_shown_with_the_line_of_the_page(tmp_path: Path) -> None:
    done = run(saved(tmp_path, "# T\n\n```python\n\nassert 1 == 2\n```\n"), tmp_path)
    assert done.returncode == 1
    assert 'page.md", line 5' in done.stderr
    assert "assert 1 == 2" in done.stderr


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    done = run(saved(tmp_path, '```python\nimport warnings\n\nwarnings.warn("old")\n```\n'), tmp_path)
    assert "UserWarning: old" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("text", "complaint"), [("```python\nx\n", "has no end"), ("```sh ../x.sh\n```\n", "no file of the folder")]
)
def test_a_page_that_is_wrong_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        blocks(saved(tmp_path, text))
