"""The bundle's description of itself."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest
from monai.bundle import verify_metadata, verify_net_in_out

import protoseg

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "data" / "meta_schema.json"


@pytest.fixture
def schema(tmp_path):
    """A copy in the place where MONAI would download the schema to, so that it downloads nothing; and its digest."""
    copy = shutil.copy(SCHEMA, tmp_path / "schema.json")
    return {"filepath": str(copy), "hash_val": sha256(SCHEMA.read_bytes()).hexdigest(), "hash_type": "sha256"}


@pytest.fixture
def metadata(configs):
    return json.loads((configs / "metadata.json").read_text(encoding="utf-8"))


def test_metadata_follows_the_schema(configs, schema):
    verify_metadata(meta_file=str(configs / "metadata.json"), **schema)


@pytest.mark.parametrize(
    "entry", ["monai_version", "required_packages_version", "task", "copyright", "network_data_format"]
)
def test_the_schema_asks_for_an_entry(metadata, schema, tmp_path, entry):
    del metadata[entry]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=f"'{entry}' is a required property"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), **schema)


def test_one_version_everywhere(metadata):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["version"] == project["version"] == protoseg.__version__
    assert metadata["version"] in metadata["changelog"]


def test_required_packages_are_dependencies_or_those_of_other_encoders(metadata):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = (*project["dependencies"], *project["optional-dependencies"]["encoders"])
    assert {name.lower() for name in metadata["required_packages_version"]} <= {
        re.split("[<>=]", requirement)[0].lower() for requirement in requirements
    }


@pytest.mark.parametrize("config", ["train.yaml", "inference.yaml"])
def test_network_takes_and_gives_what_the_metadata_says(configs, config):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / config),
        device="cpu",
        n=8,
        weights=str(configs.parent / "models" / "model.pt"),  # which say how many features there are
    )


INFERENCE = """
import ast, json, sys
from importlib.metadata import packages_distributions
from protoseg.workflows.engine_parts import open_config

config = open_config(("inference.yaml",), device="cpu")
text = json.dumps(config.get())
for target in {word for word in text.split('"') if word.startswith("protoseg.")}:
    __import__(target.rpartition(".")[0] or target)
imported = set()
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "protoseg" and getattr(module, "__file__", None):
        for node in ast.walk(ast.parse(open(module.__file__, encoding="utf-8").read())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported |= {name.split(".")[0] for name in names}
found = packages_distributions()
print(json.dumps(sorted({found[name][0].lower() for name in imported if name in found})))
"""


def test_every_package_that_inference_imports_is_listed(metadata):
    run = subprocess.run(
        [sys.executable, "-c", INFERENCE], capture_output=True, text=True, encoding="utf-8", check=True
    )
    listed = {name.lower() for name in metadata["required_packages_version"]} | {"monai", "torch", "numpy"}
    assert set(json.loads(run.stdout.splitlines()[-1])) - {"protoseg"} <= listed
