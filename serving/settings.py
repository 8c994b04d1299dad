"""Where and how this server runs; every field is an environment variable with the prefix `SERVING_`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.errors import SettingsError

_PREFIX = "SERVING_"


def _inside_home(folder: str) -> Any:
    return lambda data: data.get("home", Path(".mlops")) / folder


class ServingSettings(BaseSettings):
    """Deployment settings of the server; paths default to folders in the home."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, populate_by_name=True)

    home: Path = Field(Path(".mlops"), validation_alias="MLOPS_HOME", description="Folder of all state.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(
        50052, ge=0, le=65535, description="HTTP port of /livez, /readyz and /metrics; 0 takes a free one."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the HTTP port, which asks nobody who they are.")
    workers: int = Field(2, ge=1, le=64, description="Worker processes that share the port.")
    threads: int = Field(16, ge=1, le=256, description="Threads of one worker.")
    queue: int = Field(128, ge=0, le=10_000, description="Calls of one worker that may wait for a thread.")
    streams: int = Field(32, ge=1, le=1000, description="Streams that one worker keeps open.")
    receive_seconds: float = Field(10, gt=0, le=600, description="Patience with a call whose message does not arrive.")
    idle_stream_seconds: float = Field(300, gt=0, description="Patience with a stream that brings no message.")
    release_store: Path = Field(default_factory=_inside_home("release_store"), description="Release chains, bundles.")
    lake: Path = Field(default_factory=_inside_home("lake"), description="Delta tables, <model>/<table>.")
    journals: Path = Field(default_factory=_inside_home("journals"), description="What is not yet in the lake.")
    journal_quota_bytes: int = Field(
        2 * 1024**3, ge=1024 * 1024, description="What all journals may hold; beyond it calls are UNAVAILABLE."
    )
    durability: Literal["process", "group"] = Field(
        "process", description="What an answered prediction survives: the death of a process, or a loss of power too."
    )
    cache: Path = Field(default_factory=_inside_home("cache"), description="The last known good models.")
    trusted_keys: Path = Field(
        default_factory=_inside_home("keys/trusted"),
        description="Folder of public keys (*.pem) whose signature lets a bundle answer.",
    )
    pinned_versions: int = Field(
        4, ge=1, le=64, description="Versions that calls name which stay loaded beside those in production."
    )
    poll_seconds: float = Field(0.1, gt=0, le=0.2, description="Seconds between looks at the release chains.")
    seal_seconds: float = Field(0.5, gt=0, le=1, description="Greatest age of a journal segment before it is sealed.")
    ship_seconds: float = Field(1.0, gt=0, le=60, description="Seconds between shipments to the lake.")
    grace_seconds: float = Field(10, ge=0, le=600, description="Seconds that accepted calls get to finish at the end.")
    maximum_message_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Greatest request and answer.")
    maximum_large_bytes: int = Field(
        32 * 1024 * 1024,
        ge=4 * 1024 * 1024,
        description="Requests above 4 KiB that one worker holds at once, waiting or answered, in sum.",
    )
    tokens: Path | None = Field(None, description="File of accepted tokens (`python -m serving tokens create`).")
    jwks: str = Field("", description="Path or https URL of the keys of JWTs (JSON Web Key Set).")
    jwt_issuer: str = Field("", description="The `iss` that JWTs must have.")
    jwt_audience: str = Field("", description="The `aud` that JWTs must contain.")
    health_access: Literal["anyone", "authenticated"] = Field("anyone", description="Who may ask for health.")
    reflection_access: Literal["anyone", "authenticated", "off"] = Field(
        "authenticated", description="Who may ask for the protos."
    )
    calls_per_second: float = Field(
        0, ge=0, description="Of one identity, over all workers; 0: no limit. Needs tokens."
    )
    tls_certificate: Path | None = Field(None, description="The server's certificate chain (PEM).")
    tls_key: Path | None = Field(None, description="Its private key (PEM, without a password).")
    tls_client_ca: Path | None = Field(None, description="Authorities of clients, which then need a certificate.")
    allow_unprotected: bool = Field(
        False, description="Listen beyond this machine without TLS or without tokens: something else protects the port."
    )
    audit_log: Path = Field(
        default_factory=_inside_home("audit/control.jsonl"), description="Who asked for which control call, and when."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines on standard error: text or JSON objects.")
    dagster_url: str = Field(
        "http://127.0.0.1:3000",
        validation_alias=AliasChoices("SERVING_DAGSTER_URL", "MLOPS_DAGSTER_URL"),
        description="Address of Dagster's webserver.",
    )
    dagster_location: str = Field("", description="Code location that holds the retraining jobs; empty: any.")
    dagster_job: str = Field("{model}_retrain", description="Name of a model's retraining job.")
    dagster_timeout_seconds: float = Field(10, gt=0, le=300, description="Patience with Dagster's webserver.")

    @field_validator(
        *("home", "release_store", "lake", "journals", "cache", "trusted_keys", "audit_log"),
        *("tokens", "tls_certificate", "tls_key", "tls_client_ca"),
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value is not None else None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return address_of(self.host, self.port)

    @property
    def runtime(self) -> Path:
        """Folder of what exists only while the server runs."""
        return self.home / "serving"

    @property
    def address_file(self) -> Path:
        """JSON with the addresses and the process id of the running server."""
        return self.runtime / "address.json"

    @property
    def metrics_folder(self) -> Path:
        """Where the processes of this server share their metrics."""
        return self.runtime / "metrics"

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process these settings."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {variable_of(name): str(value) for name, value in values.items() if value is not None}


def variable_of(name: str) -> str:
    """Return the environment variable that sets a field."""
    return "MLOPS_HOME" if name == "home" else f"{_PREFIX}{name.upper()}"


def address_of(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def load_settings(**given: Any) -> ServingSettings:
    """Read the environment; `given` goes first.

    Raises:
        SettingsError: A value is not possible; names the variable, the rule and the value.
    """
    try:
        return ServingSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "settings"
        name = field if field.isupper() else variable_of(field)
        raise SettingsError(f"{name}: {first['msg']}, not {first['input']!r}") from None
