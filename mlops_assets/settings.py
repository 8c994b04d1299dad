"""Where this deployment keeps its state; every field is an environment variable with the prefix `MLOPS_`."""

from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops_assets.errors import OperationError

_PREFIX = "MLOPS_"
STATE_FORMAT = 1
_STORES = ("lake", "release_store", "keys", "journals", "cache", "mlflow", "dagster", "assets", "audit")
STATE_PARTS = frozenset({"STATE_FORMAT", "serving", "reports", "backtests", "demo", "bench", "logs", *_STORES})
"""Everything that a home may hold; whatever else is there was put there by somebody else."""


class Settings(BaseSettings):
    """Deployment settings of the training and monitoring side."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    home: Path = Field(Path(".mlops"), description="Folder of all state: lake, releases, journals, MLflow, Dagster.")
    models: str = Field("", description="Modules with further model specs, separated by commas.")
    clock: Literal["wall", "event"] = Field(
        "wall", description="What the watermark follows: now (wall), or the newest event shipped (event, for replays)."
    )
    shipping_lag_seconds: float = Field(
        10.0, ge=0, description="How long an acknowledged record may take to reach the lake (wall clock only)."
    )
    engine: str = Field(
        "duckdb://?memory_limit=512MB",
        description="What counts the monitoring windows: duckdb://, pyspark:// or postgresql://, with its settings.",
    )
    server: str = Field("127.0.0.1:50051", description="Address of the gRPC server, for the commands.")
    server_token: SecretStr = Field(SecretStr(""), description="Bearer token for the gRPC server, if it asks for one.")
    server_ca: Path | None = Field(None, description="Authorities of the server's certificate (PEM): connect over TLS.")
    client_certificate: Path | None = Field(None, description="Certificate for a server that asks for one (PEM).")
    client_key: Path | None = Field(None, description="Its private key (PEM).")
    dagster_url: str = Field("http://127.0.0.1:3000", description="Address of Dagster's webserver.")
    mlflow_url: str = Field("", description="Tracking server; empty: the sqlite file in the home.")
    mlflow_pages_url: str = Field(
        "", description="Address of MLflow's pages, for links; empty: the tracking server, else where `mlops up` is."
    )
    signing_key: Path | None = Field(
        None,
        description="Private key (Ed25519, PEM) that signs promotions; unset: the home's, made at first use.",
    )

    @field_validator("server")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("give host:port, as in 127.0.0.1:50051")
        return value

    @field_validator("dagster_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        address = urlsplit(value)
        if address.scheme not in {"http", "https"} or not address.hostname or address.port == 0:
            raise ValueError("give a web address, as in http://127.0.0.1:3000")
        return value

    @property
    def root(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def lake(self) -> Path:
        """Delta tables, `<model>/<table>`."""
        return self.root / "lake"

    @property
    def release_store(self) -> Path:
        """Release chains and bundles."""
        return self.root / "release_store"

    @property
    def home_keys(self) -> Path:
        """The home's own signing key, and the public keys that its server trusts."""
        return self.root / "keys"

    @property
    def reports(self) -> Path:
        """Self-contained HTML reports, `<model>/`."""
        return self.root / "reports"

    @property
    def backtests(self) -> Path:
        """What interrupted backtests go on from."""
        return self.root / "backtests"

    @property
    def tracking_uri(self) -> str:
        """What MLflow connects to."""
        return self.mlflow_url or f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_pages(self) -> str:
        """Where people look at MLflow."""
        served = self.mlflow_url if self.mlflow_url.startswith("http") else "http://127.0.0.1:5000"
        return (self.mlflow_pages_url or served).rstrip("/")

    @property
    def artifacts(self) -> Path:
        """MLflow's artefacts."""
        return self.root / "mlflow" / "artifacts"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        OperationError: A value is not possible; names the variable, the rule and the value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Value error, ")
        raise OperationError(f"{_PREFIX}{str(first['loc'][0]).upper()}: {rule}, not {first['input']!r}") from None
