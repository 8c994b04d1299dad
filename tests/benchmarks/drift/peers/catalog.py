"""The peers and their environments; what each is asked stands in its `<folder>/run.py`."""

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.environments import Environment
from tests.serving.harness import ROOT

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """One library.

    Attributes:
        name: As its makers write it.
        package: Whose version the table names.
        folder: Of its script and pins.
        is_exact: Whether it looks at every row.
    """

    name: str
    package: str
    folder: str
    is_exact: bool = True

    @property
    def environment(self) -> Environment:
        """Its environment, installed or not."""
        return Environment(ROOT / ".mlops" / "bench" / "drift_peers" / self.folder, self._source / "requirements.txt")

    @property
    def script(self) -> Path:
        """What its interpreter runs."""
        return self._source / "run.py"

    @property
    def _source(self) -> Path:
        return FOLDER / self.folder


PEERS = (
    Peer("scipy by hand", "scipy", "scipy"),
    Peer("alibi-detect", "alibi-detect", "alibi_detect"),
    Peer("NannyML", "nannyml", "nannyml"),
    Peer("Evidently", "evidently", "evidently"),
    Peer("deepchecks (samples 100,000 rows)", "deepchecks", "deepchecks", is_exact=False),
)
