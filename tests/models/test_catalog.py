import subprocess
import sys
from textwrap import dedent

import pytest

from mlops_assets import catalog
from mlops_assets.errors import SpecError, UnknownModelError
from mlops_assets.settings import Settings

SPEC = """
    from mlops_assets.spec import Label, ModelSpec, Number

    def declare(name):
        return ModelSpec(
            name=name,
            description="A wine.",
            label=Label(name="kind", negative="red", positive="white"),
            features=(Number(name="alcohol"),),
            source=lambda: None,
        )
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that only this test can import, and names it in MLOPS_MODELS."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, code: str, *, models: str | None = None) -> None:
        (tmp_path / f"{name}.py").write_text(dedent(SPEC) + dedent(code))
        monkeypatch.setattr(catalog, "settings", lambda: Settings(models=models or name))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def test_the_models_of_the_package_are_found():
    assert list(catalog.specs()) == ["breast_cancer", "flight_delay"]
    assert catalog.find("flight_delay").name == "flight_delay"


def test_an_unknown_model_is_refused_naming_the_known_ones():
    with pytest.raises(UnknownModelError, match="no model is named 'weather'; there are breast_cancer, flight_delay"):
        catalog.find("weather")


def test_a_module_named_in_the_settings_adds_its_spec(module):
    module("wine_model", "spec = declare('wine')", models=" wine_model , ")
    assert list(catalog.specs()) == ["breast_cancer", "flight_delay", "wine"]


def test_a_module_may_add_several_specs(module):
    module("wine_models", "specs = (declare('wine'), declare('beer'))")
    assert list(catalog.specs()) == ["beer", "breast_cancer", "flight_delay", "wine"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("spec = declare('flight_delay')", "declared in mlops_assets.models.flight_delay already; rename"),
        ("", "holds no model spec; give it"),
        ("spec = 3", "holds no model spec; give it"),
        ("specs = ()", "holds no model spec; give it"),
        ("spec = declare('Wine')", "model name 'Wine': use lower case"),
        ("import no_such_library", "no module named 'no_such_library'; install it"),
        ("1 / 0", "ZeroDivisionError: division by zero; correct the module"),
        ("def", "SyntaxError"),
    ],
)
def test_a_bad_module_is_refused_naming_it_and_the_mend(module, code, message):
    module("bad_model", code)
    with pytest.raises(SpecError) as raised:
        catalog.specs()
    assert "bad_model" in str(raised.value)
    assert message in str(raised.value)


def test_a_module_that_does_not_exist_is_refused(module):
    module("some_model", "spec = declare('some')", models="some_model,other_model")
    with pytest.raises(SpecError, match="other_model can not be imported.*check MLOPS_MODELS"):
        catalog.specs()


def test_a_code_location_loads_without_heavy_libraries():
    code = """
        import sys
        from mlops_assets.catalog import specs
        import mlops_assets.core.drift, mlops_assets.core.profile, mlops_assets.core.promotion
        import mlops_assets.core.schema, mlops_assets.core.training, mlops_assets.core.triggers
        specs()
        heavy = ("pandas", "pandera", "scipy", "sklearn", "optuna", "skl2onnx", "onnxruntime", "matplotlib")
        print([name for name in heavy if name in sys.modules])
    """
    loaded = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("slices=('alcohol',)", "slices names 'alcohol', which is no Category; declare it or leave it out"),
        ("slices=('color',)", "slices names 'color'"),
        ("accuracy=AccuracyPolicy(confirm='bounds')", "accuracy.confirm is 'bounds'; it must be 'bound' or 'point'"),
    ],
)
def test_a_spec_that_could_not_be_monitored_is_refused_with_the_mend(module, field, message):
    module(
        "bad_model",
        f"""
        from dataclasses import replace
        from mlops_assets.spec import AccuracyPolicy
        spec = replace(declare('wine'), {field})
        """,
    )
    with pytest.raises(SpecError, match="bad_model") as raised:
        catalog.specs()
    assert message in str(raised.value)
