"""Dockerfile and compose.yaml keep what they promise; they are not built here."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from protoseg.cli import protoseg

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def instructions(name: str) -> list[str]:
    return re.findall(rf"(?m)^(?:\s*){name} +(.*)$", DOCKERFILE)


def test_the_image_runs_as_a_user_and_is_watched():
    assert instructions("USER") == ["1000"]
    assert len(instructions("HEALTHCHECK")) == 1


def test_what_the_image_copies_is_there_and_sent():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    needed = {source.split("/")[0] for source in wheel["wheel"]["force-include"]}
    assert needed <= copied


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_to_this_machine_alone(service):
    assert [port for port in SERVICES[service]["ports"] if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("command", [json.loads(instructions("CMD")[-1]), SERVICES["protoseg"]["command"]])
def test_the_server_is_started_by_options_that_exist(command):
    name, *arguments = command
    context = protoseg.commands[name].make_context(name, arguments, resilient_parsing=False)
    assert context.params["host"] == "0.0.0.0"
    assert dict(context.params["conf"])["remote_access"] == "true"
