"""`python -m tests.benchmarks.serving`: measure the server and its peers on this machine."""

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlops_assets.cli import interruption
from tests.benchmarks.page import write_section
from tests.benchmarks.serving.figures import figures_of
from tests.benchmarks.serving.load import MISSING, LoadError, h2load
from tests.benchmarks.serving.model import make_model
from tests.benchmarks.serving.parts import PARTS, Bench
from tests.benchmarks.serving.report import NAME, about, tables
from tests.serving.harness import ROOT

RESULTS = ROOT / ".mlops" / "bench" / "serving.json"
PAGE = ROOT / "docs" / "benchmarks.md"
_DESCRIPTION = """\
Measure the server against an echo, a bare server and its peers.

The server runs on one core, the load (h2load) on another. Servers that are compared run at the same time and are put
under load in turn, round after round; ratios are medians over the rounds. Every part writes its figures to
.mlops/bench/serving.json as soon as it is done, so an interrupted run keeps them and `--only` goes on or repeats.
"""
_PARTS = """\
parts:
  single      ours and the yardsticks: one row a call at concurrency 1 and 16
  stages      what one row costs inside the worker, by stage
  batch       1000 rows a call, over ONNX Runtime in-process
  workers     two workers over one
  swaps       p95 of one row while a retraining runs and 20 swaps happen
  promotions  from a promotion to the last answer by the old version
  memory      resident memory over 200 swaps
  peers       MLServer, mlflow, KServe, BentoML, Ray Serve, FastAPI, Triton: as documented, and with our ONNX file

A run of all parts without --quick takes about half an hour and writes its tables into docs/benchmarks.md.
"""


def main() -> int:
    """Measure; returns 1 if something could not be measured, 2 if the load generator is not there."""
    options = _parser().parse_args()
    if shutil.which("h2load") is None:
        print(f"bench-serving: {MISSING}", file=sys.stderr)
        return 2
    interruption.listen()
    began = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    names = options.only or list(PARTS)
    results = _results(fresh=not options.only)
    failed = False
    try:
        bench = _bench(options, report)
        for name in names:
            results["measured"].pop(name, None)
            report(f"part {name}: {(PARTS[name].__doc__ or '').splitlines()[0]}")
            try:
                document = PARTS[name](replace(bench, keep=lambda part, n=name: _keep(results, n, part)))
            except (LoadError, AssertionError) as error:
                report(f"part {name} failed: {error}")
                failed = True
                continue
            results["measured"][name] = {"at": datetime.now(UTC).isoformat(), "quick": options.quick}
            _keep(results, name, document)
    except KeyboardInterrupt:
        report(f"interrupted; what was measured is in {RESULTS.relative_to(ROOT)}")
        failed = True
    print(f"\n{tables(results['parts'], results['about'])}\n")
    _write_page(results)
    return int(failed)


def _bench(options: argparse.Namespace, report: Any) -> Bench:
    folder = RESULTS.parent / "serving"
    shutil.rmtree(folder, ignore_errors=True)
    report("fitting the model")
    return Bench(
        folder=folder,
        model=make_model(folder / "bundles"),
        load=h2load,
        rounds=options.rounds or (3 if options.quick else 5),
        seconds=options.seconds or (0.7 if options.quick else 2.0),
        promotions=50,
        may_install=not options.quick,
        report=report,
        keep=lambda part: None,
    )


def _results(*, fresh: bool) -> dict[str, Any]:
    """Return what is known so far; parts measured by an earlier command stay if only some are asked."""
    if not fresh and RESULTS.exists():
        known: dict[str, Any] = json.loads(RESULTS.read_text())
        return known | {"about": about()}
    return {"figures": {}, "about": about(), "measured": {}, "parts": {}}


def _keep(results: dict[str, Any], name: str, document: dict[str, Any]) -> None:
    # Through JSON and back, so that figures are computed from what a later run will read.
    results["parts"][name] = json.loads(json.dumps(document))
    results["figures"] = figures_of(results["parts"])
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1))
    temporary.rename(RESULTS)


def _write_page(results: dict[str, Any]) -> None:
    short = [name for name in PARTS if results["measured"].get(name, {"quick": True})["quick"]]
    if short:
        print(f"{PAGE.relative_to(ROOT)} stays as it is: no full measurement of {', '.join(short)}")
        return
    write_section(PAGE, NAME, tables(results["parts"], results["about"]))
    print(f"written into {PAGE.relative_to(ROOT)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving",
        description=_DESCRIPTION,
        epilog=_PARTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="all figures in under ten minutes, installed peers only")
    parser.add_argument(
        "--only", type=_names, metavar="PART,...", help="only these parts; the others keep their figures"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every comparison [5, quick 3]")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of one measurement [2, quick 0.7]")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
