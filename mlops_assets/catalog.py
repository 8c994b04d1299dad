"""Which models exist: the modules of `mlops_assets.models` and those that `MLOPS_MODELS` names."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module

from mlops_assets import models
from mlops_assets.errors import MlopsError, SpecError, UnknownModelError
from mlops_assets.settings import settings
from mlops_assets.spec import ModelSpec


def specs() -> dict[str, ModelSpec]:
    """Return every model spec by its name, in alphabetical order.

    A module exposes one `spec`, or several as `specs`. Modules of `mlops_assets.models` whose name starts with an
    underscore hold data, not models.

    Raises:
        SpecError: A module can not be imported, holds no spec, or declares a model that exists already.
    """
    found: dict[str, ModelSpec] = {}
    declared_in: dict[str, str] = {}
    for module in [*_built_in(), *_configured()]:
        for spec in specs_of(module):
            if spec.name in found:
                raise SpecError(
                    f"{module}: model {spec.name!r} is declared in {declared_in[spec.name]} already; rename one of them"
                )
            found[spec.name], declared_in[spec.name] = spec, module
    return dict(sorted(found.items()))


def find(name: str) -> ModelSpec:
    """Return the spec of one model.

    Raises:
        UnknownModelError: No spec has this name; names those that exist.
    """
    known = specs()
    if name not in known:
        raise UnknownModelError(f"no model is named {name!r}; there are {', '.join(known)}")
    return known[name]


def specs_of(module: str) -> tuple[ModelSpec, ...]:
    """Return the specs that a module exposes.

    Raises:
        SpecError: The module can not be imported or holds no spec; names the module and the mend.
    """
    try:
        loaded = import_module(module)
    except MlopsError as error:
        raise SpecError(f"{module}: {error}") from error
    except ModuleNotFoundError as error:
        mend = (
            "check MLOPS_MODELS, and that its folder is on PYTHONPATH"
            if f"{module}.".startswith(f"{error.name}.")
            else "install it"
        )
        raise SpecError(f"{module} can not be imported: no module named {error.name!r}; {mend}") from error
    except Exception as error:  # a user's module may fail in any way
        raise SpecError(f"{module} can not be imported: {type(error).__name__}: {error}; correct the module") from error
    exposed = loaded.specs if hasattr(loaded, "specs") else getattr(loaded, "spec", None)
    if isinstance(exposed, ModelSpec):
        return (exposed,)
    listed = tuple(exposed) if isinstance(exposed, Iterable) else ()
    if not listed or not all(isinstance(spec, ModelSpec) for spec in listed):
        raise SpecError(f"{module} holds no model spec; give it `spec = ModelSpec(...)` or `specs = (...)`")
    return listed


def _built_in() -> list[str]:
    found = pkgutil.iter_modules(models.__path__, f"{models.__name__}.")
    return [module.name for module in found if not module.name.rpartition(".")[2].startswith("_")]


def _configured() -> list[str]:
    return [name for part in settings().models.split(",") if (name := part.strip())]
