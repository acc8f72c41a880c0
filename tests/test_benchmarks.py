"""Every benchmark script runs at its smallest size and prints its table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "peers.py": "MP(1/2) ⊠ MP(1/2)",
    "prediction_cost.py": "4 distinct layers",
    "accuracy.py": "within the goal",
    "laws.py": "MP(1/2) * MP(1/5): m_1 … m_10",
    "exact.py": "'enclosed': 3, 'refused': 0, 'not proven': 0, 'false': []",
    "sampling.py": "12     8 orthogonal       3 |",
    "matrix_free.py": "* from the last width, by the cube",
    "power.py": "false alarms: 0 of 2",
    "advice.py": "q* of the variance against its closed form",
    "phase.py": "slowest grid",
    "residual.py": "100 blocks with fresh masks",
    "every_activation.py": "8 of 8 networks certified, 0 of them slow or off",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_benchmark_runs_at_its_smallest(name):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "benchmarks" / name), "--quick"],
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SCRIPTS[name] in done.stdout
    assert "nan" not in done.stdout


def test_every_script_is_described():
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for script in (ROOT / "benchmarks").glob("*.py"):
        assert f"`{script.name}`" in readme
