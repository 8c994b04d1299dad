"""Which times a client may give."""

from serving.errors import Violation

MAXIMUM_FUTURE_US = 5 * 60 * 1_000_000
EARLIEST_US = -2_208_988_800_000_000  # 1900-01-01
NO_TIME_US = -(2**96)
"""Stands for a time that can not be read, and is none that a message can hold: refused with what else is wrong."""


def time_violations(field: str, times_us: list[int], received_at: int) -> list[Violation]:
    """Return what is wrong with times that a client gave."""
    found = []
    latest, earliest = max(times_us), min(times_us)
    if latest > received_at + MAXIMUM_FUTURE_US:
        found.append(Violation(field, "is more than 5 minutes in the future", times_us.index(latest)))
    if earliest == NO_TIME_US:
        found.append(Violation(field, "is not a time: nanos must be 0 to 999999999", times_us.index(earliest)))
    elif earliest < EARLIEST_US:
        found.append(Violation(field, "is before the year 1900", times_us.index(earliest)))
    return found
