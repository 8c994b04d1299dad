"""`python -m tests.benchmarks.serving`: measure the server and its peers on this machine."""

import argparse
import json
import shutil
import sys
import time

from tests.benchmarks.serving.figures import figures_of
from tests.benchmarks.serving.load import MISSING, LoadError, h2load
from tests.benchmarks.serving.model import make_model
from tests.benchmarks.serving.parts import PARTS, Bench
from tests.serving.harness import ROOT

RESULTS = ROOT / ".mlops" / "bench" / "serving.json"


def main() -> int:
    """Measure; returns 1 if something could not be measured."""
    options = _parser().parse_args()
    if shutil.which("h2load") is None:
        print(f"bench-serving: {MISSING}", file=sys.stderr)
        return 1
    folder = RESULTS.parent / "serving"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    report("fitting the model")
    model = make_model(folder / "bundles")
    bench = Bench(folder, model, h2load, options.rounds, options.seconds, report)
    parts = {}
    for name in options.only or PARTS:
        report(f"part {name}")
        try:
            parts[name] = PARTS[name](bench)
        except LoadError as error:
            report(f"part {name} failed: {error}")
            return 1
        RESULTS.write_text(json.dumps({"figures": figures_of(parts), "parts": parts}, indent=1))
    for figure, value in figures_of(parts).items():
        print(f"{figure:40} {value:8.3f}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"parts, of {', '.join(PARTS)}; all of them")
    parser.add_argument("--rounds", type=int, default=5, help="of every comparison [5]")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement [2]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
