"""The code version: the same wherever the code lies, another for other code and other declarations."""

import pickle
from dataclasses import replace

from mlops_assets.assets.backtest_folder import portable
from mlops_assets.assets.code_version import code_version, source_digest


def write(folder, **files):
    (folder / "part").mkdir(parents=True)
    for name, text in files.items():
        (folder / "part" / f"{name}.py").write_text(text)
    return folder


def test_the_digest_is_of_names_and_contents_and_not_of_the_place(tmp_path):
    digest = source_digest(write(tmp_path / "a", one="x = 1", two=""))
    (tmp_path / "a" / "part" / "notes.txt").write_text("no code")
    assert source_digest(write(tmp_path / "b", one="x = 1", two="")) == digest
    assert source_digest(write(tmp_path / "c", one="x = 2", two="")) != digest
    assert source_digest(write(tmp_path / "d", one="x = 1", three="")) != digest


def test_another_declaration_is_other_code_and_other_words_are_not(tiny_spec):
    version = code_version(tiny_spec)
    assert len(version) == 16
    assert code_version(replace(tiny_spec, description="Other words.", source=lambda: None)) == version
    assert code_version(replace(tiny_spec, source_version=lambda: "tuesday")) == version
    assert code_version(replace(tiny_spec, gate=replace(tiny_spec.gate, margin=0.1))) != version


def test_a_spec_travels_to_another_process_without_its_functions(tiny_spec):
    spec = replace(tiny_spec, source=lambda: None, traffic=lambda: None, source_version=lambda: "tuesday")
    assert pickle.loads(pickle.dumps(portable(spec))).name == "tiny"
