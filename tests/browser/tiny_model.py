"""The tiny model as a module that a code location can load by its name."""

from tests.conftest import make_tiny_spec

spec = make_tiny_spec()
