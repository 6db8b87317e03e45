"""Times without a zone."""

import os
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, distinct, func, insert, select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from homedex.storage import UtcDateTime
from proof import recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base

INSTANT = datetime(2026, 11, 22, 13, 52, 56, tzinfo=UTC)
ELSEWHERE = INSTANT.astimezone(timezone(timedelta(hours=5)))
"""The same instant on another clock."""

sightings = Table("sightings", MetaData(), Column("id", Integer, primary_key=True), Column("seen_at", UtcDateTime))


def in_the_recipe(_: Path) -> Seen:
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    Base.metadata.create_all(recipe.engine)
    with Session(recipe.engine) as session:
        session.add_all([recipe.Sighting(seen_at=INSTANT), recipe.Sighting(seen_at=ELSEWHERE)])
        session.commit()
        different = session.scalar(select(func.count(distinct(recipe.Sighting.seen_at)))) or 0
        back = session.scalars(select(recipe.Sighting)).all()
        hours = abs(back[0].created_at.timestamp() - time.time()) / 3600
        naive = sum(one.seen_at.tzinfo is None for one in back)
    return Seen(
        different > 1 and naive == len(back) and hours > 1,
        f"one instant told by two clocks is stored as {different} times, {naive} of {len(back)} come back without a zone; "
        f"`utcnow` is {hours:.0f} h off in New York once it is a timestamp",
    )


def in_ours(folder: Path) -> Seen:
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    engine = create_engine(f"sqlite+apsw:///{folder / DATABASE}")
    sightings.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(sightings), [{"seen_at": INSTANT}, {"seen_at": ELSEWHERE}, {"seen_at": datetime.now(UTC)}])
        *back, now = connection.scalars(select(sightings.c.seen_at).order_by(sightings.c.id)).all()
    different, naive = len({str(one) for one in back}), sum(one.tzinfo is None for one in back)
    hours = abs(now.timestamp() - time.time()) / 3600
    refused = False
    try:
        with engine.begin() as connection:
            connection.execute(insert(sightings), {"seen_at": INSTANT.replace(tzinfo=None)})
    except StatementError:
        refused = True
    engine.dispose()
    return Seen(
        different != 1 or naive > 0 or hours > 1 or not refused,
        f"{different} time, {naive} of {len(back)} without a zone, a time now is {hours:.0f} h off; "
        f"a naive one is {'refused' if refused else 'accepted'}",
    )


NAIVE_TIMES = Fault("naive-times", "Times lose their zone.", in_the_recipe, in_ours)
