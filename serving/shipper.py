"""The process that moves the journals of all workers into the lake."""

import logging
import os
import sys
import threading
import time

from serving.journal.recover import journal_folders, locked
from serving.journal.ship import Shipment, Shipper
from serving.lifeline import keep_pandas_out, stop_event, tell
from serving.logs import configure_logging
from serving.metrics import SHIP_FAILURES, SHIPPED_ROWS
from serving.settings import ServingSettings, load_settings

LOCK_FILE = ".shipper.lock"
_LONGEST_PAUSE_SECONDS = 10.0
_NICENESS = 10
"""A commit computes for some 50 ms: answers on the same core must not wait for it."""
_LAST_WORD_SECONDS = 15.0
_LAST_WORD_POLL_SECONDS = 0.1
_FAILED_LAST_WORD_SECONDS = 1.0

_log = logging.getLogger(__name__)


def main() -> int:
    """Ship until the supervisor lets go, then ship what the workers leave behind."""
    keep_pandas_out()
    os.nice(_NICENESS)
    stopping = stop_event(on_terminate=False)
    settings = load_settings()
    configure_logging(settings.log_format, role="shipper")
    settings.journals.mkdir(parents=True, exist_ok=True)
    shipper = Shipper(settings.journals, settings.lake, durability=settings.durability)
    waited = False
    while not stopping.is_set():
        with locked(settings.journals / LOCK_FILE) as alone:
            if alone:
                _run(shipper, settings, stopping)
                return 0
        if not waited:
            _log.info("another shipper works on %s: waiting", settings.journals)
        waited = True
        stopping.wait(settings.ship_seconds)
    return 0


def _run(shipper: Shipper, settings: ServingSettings, stopping: threading.Event) -> None:
    tell(state="ready")
    pause = settings.ship_seconds
    while not stopping.wait(pause):
        shipment = _ship(shipper)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if shipment.failed else settings.ship_seconds
    deadline = time.monotonic() + settings.grace_seconds + _LAST_WORD_SECONDS
    while time.monotonic() < deadline:
        shipment = _ship(shipper)
        if not journal_folders(settings.journals):
            return
        time.sleep(_FAILED_LAST_WORD_SECONDS if shipment.failed else _LAST_WORD_POLL_SECONDS)
    _log.error("stopping with journals in %s that are not in the lake: the next server ships them", settings.journals)


def _ship(shipper: Shipper) -> Shipment:
    shipment = shipper.ship()
    SHIPPED_ROWS.inc(shipment.rows)
    SHIP_FAILURES.inc(bool(shipment.failed))
    return shipment


if __name__ == "__main__":
    sys.exit(main())
