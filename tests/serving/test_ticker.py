"""What is done again and again."""

import threading
import time

import pytest

from serving.ticker import Ticker, seconds_to_tick


def test_all_that_tick_alike_tick_at_the_same_moments(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "monotonic", lambda: 12.34)
    assert [seconds_to_tick(seconds) for seconds in (0.1, 0.5, 1.0)] == pytest.approx([0.06, 0.16, 0.66])


def test_an_action_that_fails_is_logged_and_called_again(caplog: pytest.LogCaptureFixture):
    enough, calls = threading.Event(), []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        raise ZeroDivisionError

    ticker = Ticker(fail, seconds=0.01, name="clock")
    ticker.start()
    assert enough.wait(10)
    ticker.stop()
    assert "clock failed" in caplog.text
