"""What the checks of a release say when there is no server."""

from mlops_assets.checks.release import served_generation
from mlops_assets.settings import settings


def test_a_server_that_is_away_is_asked_for_a_second_and_not_until_a_client_would_give_up(monkeypatch):
    monkeypatch.setenv("MLOPS_SERVER", "127.0.0.1:1")
    settings.cache_clear()
    served, seconds = served_generation("tiny", 1)
    settings.cache_clear()
    assert served == 0
    assert 1 <= seconds < 5
