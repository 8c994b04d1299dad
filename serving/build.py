"""What this server is made of."""

import platform
from importlib.metadata import PackageNotFoundError, version

SERVER_NAME = "mlops-assets"
_LIBRARIES = ("grpcio", "onnxruntime", "numpy", "deltalake")


def server_version() -> str:
    """Return the version of the installed package."""
    try:
        return version(SERVER_NAME)
    except PackageNotFoundError:  # a checkout on the path that was never installed
        return "unreleased"


def build_info() -> dict[str, str]:
    """Return the versions of server, Python and the libraries that calls go through, by name."""
    libraries = {library: version(library) for library in _LIBRARIES}
    return {"version": server_version(), "python": platform.python_version(), **libraries}
