"""Versions are told where an extra is not installed, too."""

from importlib.metadata import PackageNotFoundError

import protoseg.workflows.versions
from protoseg.workflows.versions import system_info


def test_what_is_not_installed_is_told(monkeypatch):
    def version(library: str) -> str:
        if library in ("timm", "monailabel"):
            raise PackageNotFoundError(library)
        return "1.0"

    monkeypatch.setattr(protoseg.workflows.versions, "version", version)
    versions = system_info()["versions"]
    assert (versions["timm"], versions["monailabel"], versions["torch"]) == ("not installed", "not installed", "1.0")
