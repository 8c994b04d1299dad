import pytest
from dagster._utils.schedules import is_valid_cron_string

from mlops_assets.cron import valid_cron


@pytest.mark.parametrize(
    "text",
    ["0 2 * * 0", "*/15 0-6,22 1 jan-mar MON-fri", "0 12 1 1 *", "59 23 31 12 7", "5/10 22-6 * * *", "0  3 * * SUN"],
)
def test_a_schedule_that_dagster_takes_is_taken(text):
    assert is_valid_cron_string(text)
    assert valid_cron(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8",
     "*/0 * * * *", "1,,2 * * * *", "0 0 * * mon-", "0 0 * foo *", "-1 * * * *", "sun * * * *"],
)  # fmt: skip
def test_a_schedule_that_is_none_is_refused(text):
    assert not is_valid_cron_string(text)
    with pytest.raises(ValueError, match="must have"):
        valid_cron(text)
