"""Where links to MLflow lead."""

import pytest

from mlops_assets.settings import Settings


@pytest.mark.parametrize(
    ("given", "pages"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"mlflow_url": "postgresql://db/mlflow"}, "http://127.0.0.1:5000"),
        ({"mlflow_url": "https://mlflow.internal/"}, "https://mlflow.internal"),
        ({"mlflow_url": "https://mlflow.internal", "mlflow_pages_url": "https://pages/"}, "https://pages"),
    ],
)
def test_links_lead_to_the_pages_named_else_to_the_tracking_server_else_to_where_mlops_up_is(given, pages):
    assert Settings(**given).mlflow_pages == pages
