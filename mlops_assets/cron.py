"""When a schedule runs: five fields, as cron reads them."""

import re

_FIELDS = {"minute": (0, 59), "hour": (0, 23), "day of the month": (1, 31), "month": (1, 12), "weekday": (0, 7)}
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")


def valid_cron(text: str) -> str:
    """Return a cron expression as it is.

    Raises:
        ValueError: It has not five fields, or one of them is not what its place may hold.

    Example:
        >>> valid_cron("0 2 * * sun")
        '0 2 * * sun'
    """
    values = text.lower().split()
    if len(values) != len(_FIELDS):
        raise ValueError("must have the five fields of cron: minute, hour, day of the month, month, weekday")
    for (field, bounds), value in zip(_FIELDS.items(), values, strict=True):
        if not all(_is_valid(part, field) for part in value.split(",")):
            raise ValueError(f"must have {bounds[0]} to {bounds[1]} as its {field}, not {value!r}")
    return text


def _is_valid(part: str, field: str) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    least, greatest = _FIELDS[field]
    names = _NAMES.get(field, ())
    ends = [end for end in found.groups()[:2] if end is not None]
    return all(end in names or (end.isdecimal() and least <= int(end) <= greatest) for end in ends)
