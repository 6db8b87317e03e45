"""All faults, in the order of the table."""

from proof.answers import FAILED_COMMITS, SLOW_CLIENT
from proof.connections import ORPHAN_ROWS, PRAGMAS
from proof.fault import Fault
from proof.files import COPIED, SECOND_HANDLE
from proof.memory import MEMORY
from proof.migrations import BATCH_ALTER, HALF_MIGRATION, START_RACE
from proof.times import NAIVE_TIMES
from proof.wal_reset import WAL_RESET
from proof.writers import LOCKED, LOST_UPDATES

FAULTS: tuple[Fault, ...] = (
    PRAGMAS,
    ORPHAN_ROWS,
    FAILED_COMMITS,
    LOST_UPDATES,
    LOCKED,
    SLOW_CLIENT,
    COPIED,
    SECOND_HANDLE,
    BATCH_ALTER,
    HALF_MIGRATION,
    START_RACE,
    MEMORY,
    NAIVE_TIMES,
    WAL_RESET,
)
