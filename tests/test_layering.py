"""Who may import whom: a file imports only from rows above its own, and heavy libraries only where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "spectra"

# Top to bottom; a name stands for a file, or for a whole folder but those of its files that are named themselves.
ROWS = (
    ("errors", "_types", "distribution", "digits", "lazy", "native", "ratio", "threads"),
    ("effort", "wording"),
    ("exact.lowest_terms", "exact.units", "exact.power_series", "exact.chain", "exact.moment_series"),
    ("quadrature",),
    ("activations",),
    ("normalisation",),
    ("laws.zero", "laws.sums", "laws.nodes"),
    ("laws.gauss", "laws.path", "laws.panels", "laws.fade", "laws.inverse", "laws.pushforward"),
    ("compiled", "master", "pointwise", "solve", "continuation", "beside", "pole", "series", "long_series", "spectrum"),
    ("shift", "course", "walker", "gap", "thin", "blunt", "departure", "bulk", "sweep", "lowest_gap", "between_atoms"),
    ("survey",),
    ("chebyshev", "chart", "guess", "joining", "pieces", "charting", "tail", "marginal"),
    ("thinning", "refinement", "pushed", "assembly"),
    ("line.trace", "line.numbers", "line.marks", "line.atoms", "line.factors", "line.series"),
    ("law",),
    ("line.newton", "line.edges", "line.near_zero", "line.bulks", "line.beside_atoms", "line.slow_tail"),
    ("line.solutions", "line.density", "line.spectrum", "line.assembly"),
    ("positive_law", "subordination", "transforms"),
    ("line.law",),
    ("limits.smooth_arc", "limits.bernoulli_arc", "limits.deep"),
    ("laws",),
    ("line", "powers"),
    ("convolve",),
    ("inits",),
    ("network",),
    ("normalisation.growth",),
    ("limits.gaussian", "limits.exponents", "limits.lyapunov"),
    ("inits.explain", "flow.layers", "flow.predicted", "flow.inputs"),
    ("flow",),
    ("exact",),
    (
        "correlated.arc",
        "correlated.blocks",
        "correlated.grid",
        "correlated.messages",
        "correlated.paths",
        "correlated.solution",
    ),
    ("correlated.dilated", "correlated.pivots"),
    ("correlated.fixed_point", "correlated.known", "correlated.layers"),
    ("correlated.solved",),
    ("correlated.edge",),
    ("correlated.free", "correlated.free_series", "correlated.equation", "correlated.bulks", "correlated.moments"),
    ("correlated.arcsine", "correlated.density"),
    ("correlated",),
    ("outliers.passage",),
    ("outliers.between", "outliers.overlaps"),
    ("outliers.steps",),
    ("outliers.course", "outliers.secular"),
    ("outliers",),
    ("reading", "record", "files"),
    ("sampling.ensemble", "sampling.condition", "sampling.heap", "sampling.reflectors", "sampling.weights"),
    ("sampling.arrays", "sampling.parallel"),
    ("sampling.standard", "sampling.units"),
    ("sampling.spread",),
    ("sampling.forward", "sampling.graded", "sampling.layer"),
    ("sampling.one",),
    ("sampling",),
    ("flow.sampled", "flow.lsuv"),
    ("phase.zeros", "phase.interpolated", "phase.decorrelation", "phase.grid", "phase.curve"),
    ("phase.slopes", "phase.universality"),
    ("plot",),
    ("prediction", "expressions", "law_report"),
    ("phase",),
    ("limits",),
    ("bounds",),
    ("advice",),
    ("extrapolation", "shape", "distances", "finite_width"),
    ("agreement",),
    ("",),  # spectra/__init__.py
    ("cli",),
    ("__main__",),
)
# library -> the only places that may import it.
ONLY_IN = {
    "matplotlib": ("plot",),
    "pydantic": ("network.fields",),
    "click": ("cli",),
    "rich": ("cli",),
}
HEAVY = ("sympy", "mpmath", "pydantic", "matplotlib", "rich", "click", "scipy.stats", "scipy.optimize")


def modules() -> dict[str, Path]:
    """Name below `spectra` -> file; "" is `spectra` itself."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, *, lazy: bool = True) -> set[str]:
    """Absolute names of what a module imports, type-checking imports left out, those in functions where not `lazy`."""
    tree = ast.parse(MODULES[name].read_text())
    left_out = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (isinstance(node, ast.FunctionDef) and not lazy)
        for inner in ast.walk(node)
    }
    package = ["spectra", *(part for part in name.split(".") if part)]
    if MODULES[name].name != "__init__.py":
        package = package[:-1]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}".removeprefix("spectra.")
                found.add(f"{source}.{alias.name}" if inner in MODULES else source)
    return found


def own(name: str, *, lazy: bool = True) -> set[str]:
    """Modules of this package that a module imports, as keys of `MODULES`."""
    inside = {found for found in imports(name, lazy=lazy) if found.split(".")[0] == "spectra"}
    return {found.removeprefix("spectra").removeprefix(".") for found in inside} & set(MODULES) - {name}


def row(name: str) -> int:
    """Row of a module, by its own name or its folder's."""
    for candidate in (name, name.split(".")[0]):
        for index, names in enumerate(ROWS):
            if candidate in names:
                return index
    raise AssertionError(f"spectra/{name.replace('.', '/')}.py has no row: give it one in ROWS.")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_up(name: str) -> None:
    below = [other for other in own(name) if row(other) > row(name)]
    assert not below, f"{name} imports from below: {below}"


def test_there_are_no_cycles() -> None:
    # A package's __init__ re-exports its files, which import each other directly: it is left out of the graph.
    graph = {name: own(name, lazy=False) for name in MODULES if MODULES[name].name != "__init__.py"}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " imports ".join((*path, name))
        if name not in done and name in graph:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_libraries_stay_where_they_belong(library: str) -> None:
    users = {name for name in MODULES if any(found.split(".")[0] == library for found in imports(name))}
    allowed = ONLY_IN[library]
    strays = {name for name in users if not any(name == place or name.startswith(place + ".") for place in allowed)}
    assert users, f"{library} is imported nowhere"
    assert not strays, f"{library} is imported by {strays}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_command_line_prints(name: str) -> None:
    if name.split(".")[0] == "cli":
        return
    calls = [node for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


# What samples, solves, compares and shows networks, and asks an architecture what it has to know of a layer.
NAMELESS = ("sampling", "correlated", "outliers", "agreement", "flow", "plot", "cli", "prediction", "record", "bounds")


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.split(".")[0] in NAMELESS))
def test_what_samples_and_solves_knows_no_kind_of_layer_by_name(name: str) -> None:
    """`branch_layers` is a number, and free to all."""
    asked = [
        node
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("kind", "order", "normalise")
        and (getattr(node.value, "id", None) == "spec" or getattr(node.value, "attr", None) == "spec")
    ]
    assert not asked


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_are_short(name: str) -> None:
    if name == "activations._compiled":  # generated
        return
    assert len(MODULES[name].read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("native/*.[ch]")), ids=lambda path: path.name)
def test_compiled_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, spectra; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_all_compiled_files_are_installed() -> None:
    """A source that is not named leaves a module that does not load, and numpy in its place, without a word."""
    extension = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"][0]
    for key, ending in (("sources", "c"), ("depends", "h")):
        assert sorted(extension[key]) == sorted(f"spectra/native/{x.name}" for x in PACKAGE.glob(f"native/*.{ending}"))
