"""The running gRPC server, as the commands, the checks and the replay reach it."""

from typing import Any

from mlops_assets.settings import Settings
from serving.client import Client
from serving.client_channel import Credentials


def connect(where: Settings, **options: Any) -> Client:
    """Return a client of the deployment's server; options are those of `Client`.

    Raises:
        SettingsError: The credentials of the settings can not be used.
    """
    credentials = Credentials(
        token=where.server_token.get_secret_value(),
        ca=where.server_ca,
        certificate=where.client_certificate,
        key=where.client_key,
    )
    return Client(where.server, credentials=credentials, **options)
