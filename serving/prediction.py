"""The way of one prediction: route, validate, score, journal, answer."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from protos.mlops.v1 import journal_pb2
from serving.call_meter import CallMeter
from serving.errors import ContractError, ScoreError, ServingError, Violation, forget_frames, remember_version
from serving.formats.contract import Contract, Numbers
from serving.formats.texts import Texts, stacked
from serving.identifiers import new_ids, now_us, texts_of
from serving.journal.append import Journal
from serving.recent_answers import Claim, RecentAnswers
from serving.scoring.host import ModelHost
from serving.scoring.loading import LoadedModel
from serving.scoring.predictor import GOLDEN_TOLERANCE
from serving.times import time_violations

MAXIMUM_KEY_LENGTH = 256

T = TypeVar("T")


Rows = tuple[Numbers | list[list[float]], Texts]
"""What a request asks, in the order of the contract; one row needs no array yet. A plain tuple, like what calls leave
to the meter: a named one takes 0.4 µs to make, and a single row feels that."""


class PredictionCall(NamedTuple):
    """A request before its model is known: `rows_of` decodes and checks it against that model's contract."""

    model: str
    rows_of: Callable[[Contract], Rows]
    request_id: str
    entity_keys: list[str]
    event_times_us: list[int]
    version: str = ""
    """A version that the release chain has had in routing; empty: the one in production."""
    identity: str = ""
    """Who asks: request ids of different callers have nothing to do with each other."""
    arrived_at: float = 0.0
    """By `time.perf_counter`, when the message was there: what passes before it is the sender's time."""


class PredictionAnswer(NamedTuple):
    """One entry a row, in the order of the request."""

    prediction_ids: list[str]
    labels: list[str]
    probabilities: list[float]
    confidences: list[float]
    model_version: str
    generation: int


Outcome = PredictionAnswer | Exception
"""What becomes of a call."""


class _Asked(NamedTuple):
    """A call that its model's contract admits."""

    place: int
    call: PredictionCall
    rows: Rows
    claim: Claim[PredictionAnswer] | None


class Predictions:
    """Answers calls with the versions of a host, after writing them to a journal."""

    def __init__(
        self, host: ModelHost, journal: Journal, meter: CallMeter, *, status_of: Callable[[Exception], str]
    ) -> None:
        self._host, self._journal, self._meter, self._status_of = host, journal, meter, status_of
        self._recent: RecentAnswers[PredictionAnswer] = RecentAnswers()

    def predict(self, call: PredictionCall) -> PredictionAnswer:
        """Answer one call.

        Raises:
            ServingError: It can not be answered; nothing of it is in the journal.
        """
        (outcome,) = self.predict_together([call])
        if isinstance(outcome, PredictionAnswer):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # it holds this frame, which must not hold it

    def predict_together(self, calls: Sequence[PredictionCall]) -> list[Outcome]:
        """Answer calls with one run of the graph and one write to the journal for each version that they ask.

        Returns:
            An outcome for each; the error of one is no other's.
        """
        received_at = now_us()
        outcomes: dict[int, Outcome] = {}
        asked: dict[LoadedModel, list[_Asked]] = {}
        awaited: list[tuple[int, LoadedModel, Claim[PredictionAnswer]]] = []
        try:
            for place, call in enumerate(calls):
                model = None
                try:
                    model = self._host.model(call.model, call.version)
                    rows = call.rows_of(model.contract)
                    _check_envelope(call, len(rows[0]), received_at)
                    claim, is_new = self._claim(call, rows)
                except Exception as error:
                    outcomes[place] = self._refused(call.model, model, error)
                    continue
                if claim is None or is_new:
                    asked.setdefault(model, []).append(_Asked(place, call, rows, claim))
                else:
                    awaited.append((place, model, claim))
            for model, together in asked.items():
                answered = self._answer(model, together, received_at)
                outcomes.update((one.place, outcome) for one, outcome in zip(together, answered, strict=True))
        finally:
            self._let_go(asked)
        for place, model, claim in awaited:
            try:
                outcomes[place] = self._recent.answer_to(claim)
            except Exception as error:
                outcomes[place] = self._refused(model.name, model, error)
        return [outcomes[place] for place in range(len(calls))]

    def _let_go(self, asked: dict[LoadedModel, list[_Asked]]) -> None:
        """Fail the claims that something unforeseen has left open: a retry would wait for them forever."""
        for together in asked.values():
            for one in together:
                if one.claim is not None and not one.claim.is_settled:
                    self._recent.fail(one.claim, RuntimeError("the first call with this request id failed"))

    def _claim(self, call: PredictionCall, rows: Rows) -> tuple[Claim[PredictionAnswer] | None, bool]:
        if not call.request_id:
            return None, True
        key = (call.identity, call.model, call.request_id)
        return self._recent.claim(key, _payload_digest(call, rows), rows=len(rows[0]))

    def _refused(self, name: str, model: LoadedModel | None, error: Exception) -> Exception:
        if isinstance(error, ServingError):
            forget_frames(error)
        if model is not None:
            remember_version(error, model.version)
            self._meter.refused(model, error, status=self._status_of(error))
        else:
            self._meter.not_found(name if self._host.knows(name) else "", status=self._status_of(error))
        return error

    def _answer(self, model: LoadedModel, together: list[_Asked], received_at: int) -> Sequence[Outcome]:
        """Return an outcome for each."""
        calls, sizes = [one.call for one in together], [len(one.rows[0]) for one in together]
        try:
            numbers, texts = _stacked([one.rows for one in together])
            scores = _probabilities_of(model.predictor.scores_of(numbers, texts))
        except Exception as error:
            if len(together) == 1:
                return self._failed(model, together, error)
            # One row's fault: whose?
            return [outcome for one in together for outcome in self._answer(model, [one], received_at)]
        try:
            ids = new_ids(received_at, len(scores))
            record = _record_of(model, calls, sizes, (numbers, texts), scores, ids, received_at)
            self._journal.append(record, model.contract, rows=len(scores))
        except Exception as error:
            return self._failed(model, together, error)
        now = time.perf_counter()
        self._meter.answered((model, [now - call.arrived_at for call in calls], sizes, numbers, texts, scores))
        answers = list(_answers_of(model, sizes, texts_of(ids), scores))
        for one, answer in zip(together, answers, strict=True):
            if one.claim is not None:
                self._recent.settle(one.claim, answer)
        return answers

    def _failed(self, model: LoadedModel, together: list[_Asked], error: Exception) -> Sequence[Outcome]:
        for one in together:
            if one.claim is not None:
                self._recent.fail(one.claim, error)
        return [self._refused(model.name, model, error) for _ in together]


def _stacked(each: Sequence[Rows]) -> tuple[Numbers, Texts]:
    """Return the rows of several calls one after the other."""
    if len(each) == 1:
        ((numbers, texts),) = each
        return np.asarray(numbers), texts
    columns = zip(*[texts for _, texts in each], strict=True)
    return np.array([row for numbers, _ in each for row in numbers]), tuple(map(stacked, columns))


def _probabilities_of(scores: Numbers) -> Numbers:
    """Return what a graph says of rows as probabilities: what float32 has rounded beyond 0 or 1 is 0 or 1.

    Raises:
        ScoreError: It says something else, for example NaN where a value was beyond what float32 can hold.
    """
    # Operations on an array would cost a single row 2 µs.
    if 0.0 <= scores.item() <= 1.0 if len(scores) == 1 else ((scores >= 0.0) & (scores <= 1.0)).all():
        return scores
    wrong = ~((scores >= -GOLDEN_TOLERANCE) & (scores <= 1.0 + GOLDEN_TOLERANCE))
    if wrong.any():
        more = f" and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        raise ScoreError(f"the model has no probability for row {np.argmax(wrong)}{more}")
    return np.clip(scores, 0.0, 1.0)


def _record_of(
    model: LoadedModel,
    calls: Sequence[PredictionCall],
    sizes: list[int],
    rows: tuple[Numbers, Texts],
    scores: Numbers,
    ids: bytes,
    received_at: int,
) -> journal_pb2.JournalRecord:
    numbers, texts = rows
    # Filled in field by field: half the time of building it from keywords and copying it into the outer message.
    entry = journal_pb2.JournalRecord()
    record = entry.prediction
    record.contract_digest = model.contract.digest
    record.model_version = model.version
    record.generation = model.generation
    record.role = model.role
    record.received_at_us = received_at
    record.prediction_ids = ids
    if len(calls) > 1:
        record.call_rows.extend(sizes)
    request_ids, keys = [call.request_id for call in calls], [call.entity_keys for call in calls]
    if any(request_ids):
        record.request_ids.extend(request_ids)
    if any(keys):
        record.entity_keys.extend(_each_row(keys, sizes, ""))
    record.event_times_us.extend(_each_row([call.event_times_us for call in calls], sizes, received_at))
    record.numbers = numbers.tobytes()
    if len(scores) == 1:
        record.texts.extend([values[0] if len(values) == 1 else values[codes[0]] for values, codes in texts])
    else:
        for values, _ in texts:
            record.texts.extend(values)
        record.text_counts.extend([len(values) for values, _ in texts])
        record.text_codes = b"".join([codes.astype("<u4").tobytes() for _, codes in texts])
    record.scores = scores.tobytes()
    return entry


def _each_row(given: Sequence[list[T]], sizes: list[int], otherwise: T) -> list[T]:
    """Return what calls give for their rows, row by row, with something else for calls that give nothing."""
    return [value for values, size in zip(given, sizes, strict=True) for value in values or [otherwise] * size]


def _answers_of(model: LoadedModel, sizes: list[int], ids: list[str], scores: Numbers) -> Iterator[PredictionAnswer]:
    contract = model.contract
    threshold = contract.threshold
    probabilities: list[float] = scores.tolist()
    labels, confidences = [], []
    for probability in probabilities:
        if probability >= threshold:
            labels.append(contract.positive)
            confidences.append(probability)
        else:
            labels.append(contract.negative)
            confidences.append(1 - probability)
    end = 0
    for size in sizes:
        begin, end = end, end + size
        part = slice(begin, end)
        yield PredictionAnswer(
            ids[part], labels[part], probabilities[part], confidences[part], model.version, model.generation
        )


def _check_envelope(call: PredictionCall, n_rows: int, received_at: int) -> None:
    found = []
    keys, times = call.entity_keys, call.event_times_us
    if len(call.request_id) > MAXIMUM_KEY_LENGTH:
        found.append(Violation("request_id", f"is longer than {MAXIMUM_KEY_LENGTH} characters"))
    if keys:
        if len(keys) != n_rows:
            found.append(Violation("entity_keys", f"has {len(keys)} entries for {n_rows} rows"))
        if max(map(len, keys)) > MAXIMUM_KEY_LENGTH:
            found.append(Violation("entity_key", f"is longer than {MAXIMUM_KEY_LENGTH} characters"))
    if times:
        if len(times) != n_rows:
            found.append(Violation("event_times_us", f"has {len(times)} entries for {n_rows} rows"))
        found.extend(time_violations("event_time", times, received_at))
    if found:
        raise ContractError(found)


def _payload_digest(call: PredictionCall, rows: Rows) -> bytes:
    numbers, columns = rows
    texts = [column.texts().tolist() for column in columns]
    rest = repr((call.version, texts, call.entity_keys, call.event_times_us)).encode()
    return hashlib.blake2b(np.asarray(numbers).tobytes() + rest, digest_size=16).digest()
