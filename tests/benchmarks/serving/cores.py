"""One core for the server, another for the load."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

ALL_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = ALL_CORES[0], ALL_CORES[-1]


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Run what is started in the block, and all that it starts, on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
