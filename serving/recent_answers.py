"""Makes retries safe within one worker: the same request id gets the same answer and one record."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.errors import RequestConflictError

MAXIMUM_AGE_SECONDS = 300.0
MAXIMUM_IDS = 100_000
MAXIMUM_ROWS = 500_000

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Claim(Generic[T]):
    """One request id: what it was used for, and the answer once there is one."""

    key: tuple[str, str, str]
    payload: bytes
    since: float
    rows: int
    answer: T | None = None
    error: Exception | None = None
    awaited: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether those who wait can go on."""
        return self.answer is not None or self.error is not None


class RecentAnswers(Generic[T]):
    """Answers of the last five minutes by (identity, model, request id), bounded in ids and in rows."""

    def __init__(
        self, *, seconds: float = MAXIMUM_AGE_SECONDS, ids: int = MAXIMUM_IDS, rows: int = MAXIMUM_ROWS
    ) -> None:
        self._seconds, self._ids, self._rows = seconds, ids, rows
        self._claims: OrderedDict[tuple[str, str, str], Claim[T]] = OrderedDict()
        self._n_rows = 0
        self._settled = threading.Condition()

    def claim(self, key: tuple[str, str, str], payload: bytes, *, rows: int = 1) -> tuple[Claim[T], bool]:
        """Return the claim of a request id, and whether it is new: then the caller must `settle` or `fail` it.

        Args:
            key: Identity, model and request id.
            payload: Digest of everything else in the request.
            rows: Size of the answer.

        Raises:
            RequestConflictError: The id came before with another payload.
        """
        now = time.monotonic()
        with self._settled:
            claim = self._claims.get(key)
            if claim is None or claim.since <= now - self._seconds:
                self._make_room(now, rows)
                claim = self._claims[key] = Claim(key, payload, now, rows)
                self._n_rows += rows
                return claim, True
        if claim.payload != payload:
            raise RequestConflictError(f"request id {key[-1][:80]!r} was used for another payload")
        return claim, False

    def settle(self, claim: Claim[T], answer: T) -> None:
        """Remember the answer, and tell those who wait."""
        claim.answer = answer
        if claim.awaited:
            with self._settled:
                self._settled.notify_all()

    def fail(self, claim: Claim[T], error: Exception) -> None:
        """Tell those who wait that there is no answer; the next retry begins anew."""
        with self._settled:
            claim.error = error
            if self._claims.get(claim.key) is claim:
                self._forget(claim.key)
            self._settled.notify_all()

    def answer_to(self, claim: Claim[T]) -> T:
        """Wait for the answer of another call.

        Raises:
            Exception: That call failed.
        """
        with self._settled:
            claim.awaited = True
            self._settled.wait_for(lambda: claim.is_settled)
        if claim.error is not None:
            raise claim.error
        assert claim.answer is not None
        return claim.answer

    def _make_room(self, now: float, rows: int) -> None:
        while self._claims:
            key, oldest = next(iter(self._claims.items()))
            room = len(self._claims) < self._ids and self._n_rows + rows <= self._rows
            if room and oldest.since > now - self._seconds:
                return
            self._forget(key)

    def _forget(self, key: tuple[str, str, str]) -> None:
        self._n_rows -= self._claims.pop(key).rows
