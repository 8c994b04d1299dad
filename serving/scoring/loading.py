"""From a bundle on disk to a version that can answer: signature, digests, contract, golden answers, warm-up."""

import logging
import platform
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from serving.errors import BundleError, BundleUnreadableError
from serving.formats.bundle import Bundle, Manifest, open_bundle
from serving.formats.contract import Contract
from serving.formats.release import Deployed
from serving.formats.signature import TrustedKeys
from serving.metrics import BUNDLE_FAILURES
from serving.scoring.predictor import Predictor

LOOK_AGAIN_SECONDS = 1.0
_WARM_UP_CALLS = 5
_SCORING_LIBRARIES = ("onnxruntime", "numpy")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One version as it answers; never changed, only replaced as a whole, and freed with its last call."""

    name: str
    generation: int
    role: str
    digest: str
    key_id: str
    """The trusted key whose signature was verified at load."""
    verified_at: datetime
    manifest: Manifest
    predictor: Predictor

    @cached_property
    def contract(self) -> Contract:
        """What every row must satisfy."""
        return self.manifest.contract

    @cached_property
    def version(self) -> str:
        """The version's name."""
        return self.manifest.version


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a bundle was not loaded, and what was seen of its signatures then."""

    kind: type[BundleError]
    message: str
    evidence: str
    look_again_at: float


class ModelLoader:
    """Loads versions that a trusted key vouches for; remembers those that it refused."""

    def __init__(self, trusted: TrustedKeys) -> None:
        self._trusted = trusted
        self._failures: dict[Path, _Failure] = {}
        self._warned: set[str] = set()

    def load(
        self, bundles: Path, model: str, deployed: Deployed, *, generation: int, role: str = "production"
    ) -> LoadedModel:
        """Verify, prove and warm up a version.

        Raises:
            BundleUnreadableError: It can not be read; it is tried again after a second.
            BundleError: It is not signed, not whole, not of this model, or does not answer as it should; it is not
                tried again until its digest or its signatures change.
        """
        failures = BUNDLE_FAILURES.labels(model)  # before the first one: it is shown as 0
        place = bundles / deployed.bundle
        self._refuse_again(place, bundles, deployed)
        evidence = ""
        try:
            evidence = self._trusted.evidence(bundles, deployed.bundle)
            key_id = self._trusted.verify(bundles, deployed.bundle)
            bundle = open_bundle(bundles, deployed.bundle)
            _check_names(bundle, model, deployed)
            predictor = _proven_predictor(bundle)
        except BundleError as error:
            failures.inc()
            again = time.monotonic() + LOOK_AGAIN_SECONDS
            self._failures[place] = _Failure(type(error), str(error), evidence, again)
            raise
        self._failures.pop(place, None)
        self._warn_of_other_libraries(bundle)
        return LoadedModel(
            name=model,
            generation=generation,
            role=role,
            digest=bundle.digest,
            key_id=key_id,
            verified_at=datetime.now(UTC),
            manifest=bundle.manifest,
            predictor=predictor,
        )

    def _refuse_again(self, place: Path, bundles: Path, deployed: Deployed) -> None:
        failure = self._failures.get(place)
        if failure is None:
            return
        if time.monotonic() >= failure.look_again_at:
            evidence = self._trusted.evidence(bundles, deployed.bundle)
            if failure.kind is BundleUnreadableError or evidence != failure.evidence:
                return
            self._failures[place] = replace(failure, look_again_at=time.monotonic() + LOOK_AGAIN_SECONDS)
        raise failure.kind(failure.message)

    def _warn_of_other_libraries(self, bundle: Bundle) -> None:
        """Once a bundle: what scores here is not what the golden answers were made with."""
        built = bundle.manifest.libraries
        other = [
            f"{name} {built[name]}, here {here}"
            for name, here in _libraries_here().items()
            if built.get(name, here) != here
        ]
        if other and bundle.digest not in self._warned:
            self._warned.add(bundle.digest)
            _log.warning(
                "%s: version %s was built with other libraries: %s",
                bundle.contract.model,
                bundle.manifest.version,
                "; ".join(other),
            )


def _check_names(bundle: Bundle, model: str, deployed: Deployed) -> None:
    manifest, contract = bundle.manifest, bundle.contract
    if {contract.model, manifest.model} != {model}:
        raise BundleError(f"bundle {bundle.digest[:12]} is of {contract.model}, not of {model}")
    if manifest.version != deployed.version:
        raise BundleError(f"bundle {bundle.digest[:12]} is version {manifest.version}, not {deployed.version}")


def _proven_predictor(bundle: Bundle) -> Predictor:
    """Load the graph and prove it on the golden rows, which must satisfy the contract that requests must satisfy."""
    try:
        golden, contract = bundle.golden, bundle.contract
        shapes = (golden.numbers.shape[1], golden.texts.shape[1])
        if not len(golden.scores) or shapes != (len(contract.numbers), len(contract.texts)):
            raise BundleError(f"bundle {bundle.digest[:12]}: no golden rows of its contract")
        predictor = Predictor.of_bundle(bundle)
        for _ in range(_WARM_UP_CALLS):
            predictor.scores(golden.numbers[:1], golden.texts[:1])
    except BundleError:
        raise
    except Exception as error:  # the edge of what others wrote: JSON and onnxruntime raise errors of many kinds
        raise BundleError(f"bundle {bundle.digest[:12]} does not answer: {type(error).__name__}: {error}") from error
    return predictor


def _libraries_here() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _SCORING_LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
