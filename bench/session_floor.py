"""What SQLAlchemy's ORM takes by itself, with no thread and no event loop: `python -m bench.session_floor`."""

import tempfile
import time
from statistics import median

from bench.session_side import GETS, ROWS, Base, Device, device
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from homedex.storage import apsw_dialect  # noqa: F401  (registers the dialect, also where no entry point is installed)

ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="homedex-bench-") as folder:
        engine = create_engine(f"sqlite+apsw:///{folder}/some.db?synchronous=NORMAL")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(device(number) for number in range(ROWS))
            session.commit()
        got, added = [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for number in range(GETS):
                with Session(engine) as session:
                    session.get_one(Device, number % ROWS + 1)
            got.append((time.perf_counter() - begun) / GETS * 1e6)
            begun = time.perf_counter()
            for number in range(GETS):
                with Session(engine, expire_on_commit=False) as session:
                    session.add(device(ROWS + number))
                    session.commit()
            added.append((time.perf_counter() - begun) / GETS * 1e6)
        engine.dispose()
    print(f"ORM alone, get by key: {median(got):.0f} us; add and commit without a flush of the disk: {median(added):.0f} us")


if __name__ == "__main__":
    main()
