"""Dagster (code server, webserver, daemon), MLflow's pages and the gRPC server, as real processes over one home."""

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlops_assets.catalog import specs
from mlops_assets.cli.processes import Processes, free_port, python, require_free
from mlops_assets.errors import OperationError
from mlops_assets.replay.orchestration import Orchestration
from mlops_assets.settings import STATE_FORMAT, Settings

START_SECONDS = 120.0
ROOM_BYTES = 100 * 1024**2
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ports:
    """Where the processes listen on the loopback interface."""

    dagster: int = 3000
    mlflow: int = 5000
    server: int = 50051
    metrics: int = 50052

    @classmethod
    def free(cls) -> "Ports":
        """Return four free ports."""
        return cls(free_port(), free_port(), free_port(), free_port())

    def require_free(self) -> None:
        """Raise if a port is taken, or asked for twice.

        Raises:
            OperationError: Names the port, what wanted it, and the option that changes it.
        """
        wanted = {
            "--dagster-port": (self.dagster, "Dagster's pages"),
            "--mlflow-port": (self.mlflow, "MLflow's pages"),
            "--port": (self.server, "the gRPC server"),
            "--metrics-port": (self.metrics, "the server's metrics"),
        }
        counted = Counter(port for port, _ in wanted.values())
        for option, (port, what) in wanted.items():
            if counted[port] > 1:
                same = " and ".join(other for other, (taken, _) in wanted.items() if taken == port)
                raise OperationError(f"{same} are both {port}; give each a port of its own")
            require_free(port, what, option)


def prepare_home(where: Settings) -> Path:
    """Create the home, write Dagster's instance file, and return Dagster's home.

    Raises:
        OperationError: The home can not be written, has no room, or holds the state of another release.
    """
    dagster_home = where.root / "dagster"
    try:
        for folder in (dagster_home, where.release_store / "releases", where.lake):
            folder.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(where.root).free) < ROOM_BYTES:
            raise OperationError(
                f"the disk of {where.root} has {free // 1024**2} MiB left, {ROOM_BYTES // 1024**2} MiB are needed to "
                "start; free some space or choose another MLOPS_HOME"
            )
        stamp = where.root / "STATE_FORMAT"
        if stamp.exists() and stamp.read_text().strip() != str(STATE_FORMAT):
            raise OperationError(
                f"{where.root} holds state format {stamp.read_text().strip()}, this release writes {STATE_FORMAT}; "
                f"choose another MLOPS_HOME or remove it"
            )
        stamp.write_text(f"{STATE_FORMAT}\n")
        shutil.copyfile(ROOT / "dagster.yaml", dagster_home / "dagster.yaml")
    except OSError as error:
        raise OperationError(f"{where.root} can not be written: {error.strerror}; choose another MLOPS_HOME") from None
    return dagster_home


def start_platform(
    processes: Processes, where: Settings, ports: Ports, *, workers: int = 2, with_mlflow: bool = False
) -> None:
    """Start everything and wait until it answers.

    Raises:
        SpecError: A model spec is wrong; nothing is started then.
        OperationError: A port is taken, or a process does not come up.
    """
    specs()
    dagster_home = prepare_home(where)
    ports.require_free()
    environment = {
        "DAGSTER_HOME": str(dagster_home),
        "MLOPS_HOME": str(where.root),
        "MLOPS_CLOCK": where.clock,
        "MLOPS_MODELS": where.models,
        "MLOPS_SERVER": f"127.0.0.1:{ports.server}",
        "MLOPS_DAGSTER_URL": f"http://127.0.0.1:{ports.dagster}",
        **({"MLOPS_MLFLOW_PAGES_URL": f"http://127.0.0.1:{ports.mlflow}"} if with_mlflow else {}),
        "SERVING_DAGSTER_URL": f"http://127.0.0.1:{ports.dagster}",
        "SERVING_PORT": str(ports.server),
        "SERVING_METRICS_PORT": str(ports.metrics),
        "SERVING_WORKERS": str(workers),
        "OMP_NUM_THREADS": "1",
    }
    processes.start("server", python("-m", "serving"), environment)
    create_dagster_storage(dagster_home)
    start_dagster(processes, where, ports, environment)
    if with_mlflow:
        start_mlflow(processes, where, ports, environment)
    processes.wait_for_url(f"http://127.0.0.1:{ports.dagster}/server_info", seconds=START_SECONDS)
    processes.wait_for_url(f"http://127.0.0.1:{ports.metrics}/livez", seconds=START_SECONDS)
    wait_for_code(processes, Orchestration(f"http://127.0.0.1:{ports.dagster}"))


def create_dagster_storage(dagster_home: Path) -> None:
    """Create Dagster's sqlite files before several processes would do so at the same moment."""
    if (dagster_home / "storage").exists():
        return
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
        instance.event_log_storage.get_maximum_record_id()


def wait_for_code(processes: Processes, dagster: Orchestration) -> None:
    """Wait until the webserver has the code location, so that a run can be launched.

    Raises:
        OperationError: A process ended, or the code is not loaded in time.
    """
    deadline = time.monotonic() + START_SECONDS
    why = "see its log"
    while time.monotonic() < deadline:
        processes.check()
        try:
            if dagster.jobs():
                return
        except OperationError as error:  # the code server may still be on its way
            why = str(error)
        time.sleep(0.2)
    raise OperationError(f"Dagster has not loaded mlops_assets within {START_SECONDS:.0f} s: {why}")


def start_dagster(processes: Processes, where: Settings, ports: Ports, environment: dict[str, str]) -> None:
    """Start one code server, and the webserver and daemon that both use it."""
    code_port = free_port()
    location = {"host": "127.0.0.1", "port": code_port, "location_name": "mlops_assets"}
    workspace = where.root / "dagster" / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
    module = ("--module-name", "mlops_assets.definitions", "--location-name", "mlops_assets")
    processes.start(
        "dagster-code",
        python("-m", "dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(code_port), *module),
        environment,
    )
    processes.start(
        "dagster-webserver",
        python("-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(ports.dagster), "-w", str(workspace)),
        environment,
    )
    processes.start("dagster-daemon", python("-m", "dagster._daemon", "run", "-w", str(workspace)), environment)


def start_mlflow(processes: Processes, where: Settings, ports: Ports, environment: dict[str, str]) -> None:
    """Start MLflow's pages over the same sqlite file that trainings write."""
    where.artifacts.mkdir(parents=True, exist_ok=True)
    options = ("--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1")
    store = ("--backend-store-uri", where.tracking_uri, "--default-artifact-root", where.artifacts.as_uri())
    processes.start(
        "mlflow",
        python("-m", "mlflow", "server", *options, *store),
        {**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
