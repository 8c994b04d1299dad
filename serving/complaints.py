"""Errors of things that are looked at again and again: said when they change, not at every look."""

import logging


class Complaints:
    """Logs what is wrong with a thing once, until it is something else or mended."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, str] = {}

    def say(self, what: str, why: str) -> None:
        """Log an error unless it is the one that was said last."""
        if self._said.get(what) != why:
            self._said[what] = why
            self._log.error("%s: %s", what, why)

    def mended(self, what: str) -> None:
        """Forget what was wrong: when it comes again, it is said again."""
        self._said.pop(what, None)
