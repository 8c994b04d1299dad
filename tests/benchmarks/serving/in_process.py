"""ONNX Runtime without a server: the time of its `run` on a batch in this process, on the server's core.

Run as a program it reads one line per measurement, the number of runs, and answers the percentiles as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from serving.scoring.predictor import Predictor
from tests.benchmarks.serving.cores import SERVER_CORE, pinned
from tests.benchmarks.serving.model import BenchmarkModel
from tests.serving.harness import ROOT


def main() -> None:
    """Measure as often as asked."""
    folder = Path(sys.argv[1])
    session = Predictor((folder / "model.onnx").read_bytes())._session
    features = np.load(folder / "features.npy")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            session.run(["probabilities"], {"features": features})
            seconds.append(time.perf_counter() - began)
        print(json.dumps(float(np.median(seconds)) * 1e3), flush=True)


@contextmanager
def running_scorer(model: BenchmarkModel, folder: Path) -> Iterator[Callable[[int], float]]:
    """Start the program; the block gets a function from a number of runs to their p50 in milliseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.onnx)
    np.save(folder / "features.npy", model.features)
    command = [sys.executable, "-m", "tests.benchmarks.serving.in_process", str(folder)]
    with (
        pinned(SERVER_CORE),
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):

        def score(runs: int) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{runs}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        try:
            yield score
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
