"""What the README and the examples say is executed, line by line."""

from __future__ import annotations

import itertools
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path

import pytest

from spectra.cli import main
from spectra.network.config import Network
from spectra.reading import reading

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CONFIGS = sorted((ROOT / "examples").glob("*.toml"))
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def blocks(language: str) -> list[str]:
    """Code blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def spectra_commands() -> list[list[str]]:
    """Arguments of every `spectra …` in the README's shell blocks, whatever stands before it in its line."""
    found = []
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and words[0].rpartition("/")[2] == "spectra":
                    found.append(words[1:])
    return found


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Go to a folder with the examples in it, so that results do not land in the source."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_shows_commands_and_python() -> None:
    shown = {command[0] for command in spectra_commands()}
    assert shown >= {"predict", "compare", "check", "bench", "moments", "phase", "tune", "audit"}
    assert blocks("python")


@pytest.mark.parametrize("arguments", spectra_commands(), ids=" ".join)
def test_readme_commands_run(arguments: list[str], workplace: Path) -> None:
    assert main(arguments) == 0
    for option, path in itertools.pairwise(arguments):
        if option in ("--json", "--plot") and path != "-":
            assert (workplace / path).stat().st_size > 0


@pytest.mark.parametrize("block", blocks("python"))
def test_readme_python_runs(block: str, workplace: Path) -> None:
    exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_example_configurations_give_certified_predictions(path: Path) -> None:
    from spectra.prediction import predict

    pred = predict(Network.from_toml(path))
    assert pred.checks.certified
    assert reading(pred).endswith(".")


def test_there_are_six_configurations_and_two_scripts() -> None:
    assert len(CONFIGS) >= 6
    assert len(SCRIPTS) >= 2


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_example_scripts_run_anywhere_and_repeat_themselves(path: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = []
    for _ in range(2):
        runpy.run_path(str(path), run_name="__main__")
        outputs.append(capsys.readouterr().out)
    assert outputs[0]
    assert outputs[0] == outputs[1]


def test_links_and_pictures_in_the_readme_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    test_command = "python -m pytest -n auto"
    assert script.read_text().rstrip().endswith(test_command)
    assert test_command in README
