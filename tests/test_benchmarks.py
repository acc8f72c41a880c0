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
    "exact.py": "'enclosed': 3, 'refused': 0, 'not proven': 0, 'ran out of time': 0, 'crashed': 0, 'false': []",
    "sampling.py": "12     8 orthogonal       3 |",
    "gpu.py": "",  # a table, or that there is no GPU
    "matrix_free.py": "* from the last width, by the cube",
    "power.py": "false alarms: 0 of 2",
    "advice.py": "q* of the variance against its closed form",
    "residual_check.py": "beyond 3.5: 0 of 16 by diagonals",
    "phase.py": "slowest grid",
    "normalisation.py": "relu  0           8   1.78818997665",
    "residual.py": "100 blocks with fresh masks",
    "random_blocks.py": "2 residual networks, seed 6",
    "every_activation.py": "8 of 8 networks certified, 0 of them slow or off",
}


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "benchmarks" / name), *options],
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_benchmark_runs_at_its_smallest(name):
    done = run(name, "--quick")
    assert done.returncode == 0, done.stderr
    assert SCRIPTS[name] in done.stdout
    assert "nan" not in done.stdout


def test_what_is_measured_on_a_gpu_runs_on_the_processor():
    pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    done = run("gpu.py", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("torch ") and "|" in line]
    assert [row[3:5] for row in rows] == [[w, d] for d in ("float64", "float32") for w in ("gaussian", "orthogonal")]
    worst = [float(row[-2].rstrip(",")) for row in rows]
    assert max(worst[:2]) < 1e-8
    assert max(worst[2:]) < 1e-2


def test_every_script_is_described():
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for script in (ROOT / "benchmarks").glob("*.py"):
        assert f"`{script.name}`" in readme
