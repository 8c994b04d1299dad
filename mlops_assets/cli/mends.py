"""What the gRPC server can not do for a command, told with the mend."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_assets.errors import OperationError
from mlops_assets.settings import settings
from serving.errors import CallError, ModelNotFoundError, OrchestratorError


@contextmanager
def mends(model: str) -> Iterator[None]:
    """Add the mend to a refusal that concerns the installation and not the request.

    Raises:
        OperationError: No server answers, it has no version of the model, or it can not reach Dagster.
    """
    try:
        yield
    except CallError as error:
        raise OperationError(
            f"the server at {settings().server} did not answer ({error}); "
            "start it with `mlops up`, or let MLOPS_SERVER name where it runs"
        ) from error
    except ModelNotFoundError as error:
        raise OperationError(f"{error}; `mlops retrain {model}` makes a first version") from error
    except OrchestratorError as error:
        raise OperationError(
            f"{error}; start Dagster with `mlops up`, or let SERVING_DAGSTER_URL tell the server where it runs"
        ) from error
