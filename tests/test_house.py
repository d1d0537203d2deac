"""The house rules, kept over the AST of every file: layers, words, sizes, and what is dangerous.

A rule is a function from a source file to its faults. Every rule is also fed small bad files, to
show that it can fail.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "dashboard", "sample_models")
LONGEST_FILE = 350


@dataclass(frozen=True)
class Source:
    """One file: its dotted module name and its text."""

    module: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Layer:
    """What the modules below a prefix may import; the longest prefix that fits a module counts.

    ``never`` holds anywhere, ``late`` only while the module is being imported: inside functions it
    is allowed. ``only``, where given, lists all that may be imported besides the standard library.
    """

    prefixes: tuple[str, ...]
    never: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


HEAVY = ("torch", "captum", "umap", "transformers", "sklearn", "numba")
SHOWN = ("streamlit", "plotly", "kaleido", "dashboard", "sample_models")
COMPUTING = (
    "core.attribution",
    "core.projection",
    "core.evaluation",
    "core.compression",
    "core.importance",
    "core.comparison",
    "core.surrogate",
    "core.concepts",
    "core.influence",
    "core.counterfactual",
    "core.checkup",
)

LAYERS = (
    Layer(
        (
            "core.errors",
            "core.tasks",
            "core.provenance",
            "core.results",
            "core.store",
            "core.progress",
            "core.parameters",
            "core.codec",
            "core.paths",
            "core.workspace",
            "core.settings",
        ),
        only=(
            "numpy",
            "safetensors",
            "platformdirs",
            "core.errors",
            "core.tasks",
            "core.provenance",
            "core.results",
            "core.progress",
            "core.parameters",
            "core.codec",
            "core.paths",
            "core.workspace",
            "core.settings",
            "core.store",
            "core.confinement.limits",
        ),
    ),
    Layer(  # limits know nothing of what they hold
        ("core.confinement",),
        never=(*SHOWN, *HEAVY, *COMPUTING, "core.data", "core.models", "core.engine"),
    ),
    Layer(
        ("core.data", "core.models", "core.device"),
        never=(
            *SHOWN,
            "captum",
            "umap",
            *COMPUTING,
            "core.engine",
            "core.activations",
            "core.training",
        ),
    ),
    Layer(
        ("core.data.gallery", "core.models.card", "core.models.catalogue", "core.models.reference"),
        never=(*SHOWN, *HEAVY, *COMPUTING, "core.engine"),
    ),
    Layer(  # a stranger's file is looked over by what cannot unpickle: no torch
        (
            "core.models.exported.archive",
            "core.models.exported.choice",
            "core.models.exported.clean",
            "core.models.exported.description",
            "core.models.exported.expressions",
            "core.models.exported.held",
            "core.models.exported.operators",
            "core.models.exported.own",
            "core.models.exported.payload",
            "core.models.exported.program",
            "core.models.exported.structure",
            "core.models.exported.values",
            "core.models.formats.admitted",
            "core.models.formats.arrival",
            "core.models.formats.cards",
            "core.models.formats.door",
            "core.models.formats.factory",
            "core.models.formats.folder",
            "core.models.formats.kind",
            "core.models.formats.tensors",
        ),
        never=(*SHOWN, *HEAVY, *COMPUTING, "core.engine", "core.activations", "core.training"),
    ),
    Layer(
        ("core.activations", "core.attention"),
        never=(*SHOWN, "captum", "umap", *COMPUTING, "core.training"),
    ),
    Layer(("core.training",), never=(*SHOWN, "captum", "umap", *COMPUTING, "core.activations")),
    Layer(  # runs are read by the dashboard, whose process has no torch
        (
            "core.training.recipe",
            "core.training.config",
            "core.training.run",
            "core.training.events",
            "core.training.eventfile",
            "core.training.records",
            "core.training.summaries",
            "core.training.tensors",
        ),
        never=(*SHOWN, *HEAVY, *COMPUTING, "core.engine", "core.activations"),
    ),
    Layer(COMPUTING, never=(*SHOWN, "core.engine")),
    Layer(  # pages and commands lay results over each other themselves
        tuple(f"core.comparison.{name}" for name in ("fit", "reasons", "attention", "written")),
        never=(*SHOWN, *HEAVY, "core.engine"),
    ),
    Layer(("core.attribution.method",), never=(*SHOWN, *HEAVY, "core.engine")),
    Layer(("core.importance.ways",), never=(*SHOWN, *HEAVY, "core.engine")),
    Layer(("core.attribution.registry",), never=(*SHOWN, "core.engine"), late=HEAVY),
    Layer(("core.engine",), never=(*SHOWN, "ray"), late=HEAVY),
    Layer(("core.engine.ray",), never=SHOWN, late=HEAVY),
    Layer(
        ("core", "core.notebook", "core.showing"),
        never=("streamlit", "plotly", "kaleido"),
        late=HEAVY,
    ),
    Layer(("sample_models",), never=("dashboard", "streamlit", "plotly", "captum")),
    Layer(
        ("dashboard.figures", "dashboard.theme"),
        only=(
            "core.results",
            "core.tasks",
            "core.provenance",
            "core.errors",
            "numpy",
            "plotly",
            "dashboard.figures",
            "dashboard.theme",
        ),
    ),
    Layer(("dashboard.export", "dashboard.cli", "dashboard.commands"), never=("streamlit", *HEAVY)),
    Layer(("dashboard",), never=(*HEAVY, "sample_models")),
)

# What we do not say, and what we say instead: the word table of the design. Only names that are
# defined in our own files are looked at, whole identifiers, without regard to case.
WORDS = {
    "saliency_map": "attribution",
    "saliency_maps": "attributions",
    "saliencies": "attributions",
    "relevance_map": "attribution",
    "relevances": "attributions",
    "heatmap_values": "values",
    "reference_input": "baseline",
    "reference_image": "baseline",
    "reference_value": "baseline",
    "baseline_input": "baseline",
    "class_id": "target",
    "class_ids": "targets",
    "class_idx": "target",
    "target_class": "target",
    "target_label": "target",
    "target_idx": "target",
    "convergence_delta": "delta",
    "completeness_error": "delta",
    "completeness_gap": "delta",
    "datapoint": "example",
    "datapoints": "examples",
    "data_point": "example",
    "data_points": "examples",
    "module_path": "layer",
    "module_name": "layer",
    "layer_path": "layer",
    "from_token": "query",
    "to_token": "key",
    "attention_weights": "pattern",
    "activation_cache": "capture",
    "embedding_2d": "projection",
    "embedding_3d": "projection",
    "experiment": "run",
    "experiments": "runs",
    "snapshot": "checkpoint",
    "snapshots": "checkpoints",
    "num_steps": "n_steps",
    "nb_steps": "n_steps",
    "number_of_steps": "n_steps",
    "num_samples": "n_samples",
    "nb_samples": "n_samples",
    "number_of_samples": "n_samples",
    "internal_bs": "internal_batch_size",
    "chunk_size": "internal_batch_size",
}
NOT_NOUNS = ("utils", "util", "helpers", "helper", "common", "misc", "stuff", "tools")
UNSAFE_READERS = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
UNSAFE_HTML_FILE = "dashboard.theme"


@cache
def sources() -> tuple[Source, ...]:
    """Every file of the three packages."""
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(Source(dotted(path), path.read_text(encoding="utf-8")) for path in files)


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@dataclass(frozen=True)
class Import:
    """``name`` is as dotted as the statement says: ``from core import errors`` is core.errors."""

    name: str
    line: int
    late: bool


def imports(source: Source) -> Iterator[Import]:
    """All imports, also inside functions and by name; not those for type checkers alone."""
    yield from _imports(source.tree.body, late=False)


def _imports(nodes: Iterable[ast.AST], late: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (Import(f"{module}.{a.name}", node.lineno, late) for a in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse, late)
        else:
            if isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func).rpartition(".")[2]
                first = node.args[0]
                if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                    yield Import(str(first.value), node.lineno, late)
            inner = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(ast.iter_child_nodes(node), inner)


def layer_of(module: str) -> Layer | None:
    fitting = [
        (len(prefix), layer)
        for layer in LAYERS
        for prefix in layer.prefixes
        if is_below(module, prefix)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def layers(source: Source) -> list[str]:
    """Who may import what."""
    layer = layer_of(source.module)
    if layer is None:
        return [f"{source.module} belongs to no layer: add it to LAYERS"]
    faults = []
    for each in imports(source):
        where = f"{source.module}:{each.line} imports {each.name}"
        if each.name.startswith("."):
            faults.append(f"{where}: write the whole name")
        banned = [name for name in layer.never if is_below(each.name, name)]
        if not each.late:
            banned += [name for name in layer.late if is_below(each.name, name)]
        if layer.only and each.name.partition(".")[0] not in sys.stdlib_module_names:
            allowed = any(is_below(each.name, name) for name in layer.only)
            banned += [] if allowed else [each.name]
        if banned:
            faults.append(f"{where}, which its layer does not allow")
    return faults


def definitions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that a file gives: of classes, functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def words(source: Source) -> list[str]:
    """The word table."""
    return [
        f"{source.module}:{line} says {name}: say {WORDS[name.lower().strip('_')]}"
        for name, line in definitions(source.tree)
        if name.lower().strip("_") in WORDS
    ]


def nouns(source: Source) -> list[str]:
    """Files are named by their noun."""
    last = source.module.rpartition(".")[2]
    return [f"{source.module} is not a noun: what is in it?"] if last in NOT_NOUNS else []


def sizes(source: Source) -> list[str]:
    """Files that can be read at a sitting."""
    lines = source.text.count("\n")
    if lines <= LONGEST_FILE:
        return []
    return [f"{source.module} has {lines} lines, at most {LONGEST_FILE}: split it by its nouns"]


@cache
def taken_names() -> frozenset[str]:
    return frozenset(metadata.packages_distributions()) | sys.stdlib_module_names | {"ray", "core"}


def shadows(source: Source) -> list[str]:
    """Streamlit puts dashboard/ first on the path: a file there must not hide a package."""
    first, *rest = source.module.split(".")
    if first != "dashboard" or not rest or rest[0] not in taken_names():
        return []
    return [f"{source.module} hides the package {rest[0]} when Streamlit runs: rename it"]


def unsafe(source: Source) -> list[str]:
    """Nothing runs code from a file, and HTML is written in one place."""
    faults = [
        f"{source.module}:{each.line} imports {each.name}: store without pickle"
        for each in imports(source)
        if each.name.partition(".")[0] in UNSAFE_READERS
    ]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"{source.module}:{node.lineno}"
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
        if called in ("eval", "exec"):
            faults.append(f"{where} calls {called}")
        if called == "torch.load" and given.get("weights_only") != "True":
            faults.append(f"{where} calls torch.load without weights_only=True")
        if given.get("allow_pickle", "False") != "False":
            faults.append(f"{where} allows pickle")
        if given.get("trust_remote_code", "False") != "False":
            faults.append(f"{where} trusts remote code")
        if given.get("shell", "False") != "False" or called == "os.system":
            faults.append(f"{where} calls a shell")
        if given.get("unsafe_allow_html") == "True" and source.module != UNSAFE_HTML_FILE:
            faults.append(f"{where} writes HTML outside {UNSAFE_HTML_FILE}")
    return faults


def streamlit_state(source: Source) -> list[str]:
    """One file touches the session's state, one file caches."""
    owners = {"session_state": "dashboard.state"}
    owners |= dict.fromkeys(("cache_data", "cache_resource"), "dashboard.cached")
    return [
        f"{source.module}:{node.lineno} touches {node.attr}: only {owners[node.attr]} may"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in owners
        and source.module != owners[node.attr]
    ]


def clocks(source: Source) -> list[str]:
    """What draws itself by a clock stands alone, or the browser may be left with a blank page."""
    if source.module == "dashboard.ticking":
        return []
    return [
        f"{source.module}:{node.value.lineno} runs by a clock: use dashboard.ticking"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.keyword) and node.arg == "run_every"
    ]


def docstrings(source: Source) -> list[str]:
    """Every file says what it is for; in core every public name says what it does."""
    faults = []
    if source.text.strip() and not ast.get_docstring(source.tree):
        faults.append(f"{source.module} has no docstring")
    if source.package == "core":
        faults += _undocumented(source.module, source.tree.body)
    return faults


def _undocumented(owner: str, body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_") or "overload" in map(ast.unparse, node.decorator_list):
            continue
        if not ast.get_docstring(node):
            yield f"{owner}.{node.name} (line {node.lineno}) has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(f"{owner}.{node.name}", node.body)


Rule = Callable[[Source], list[str]]
RULES: tuple[Rule, ...] = (
    layers,
    words,
    nouns,
    sizes,
    shadows,
    unsafe,
    streamlit_state,
    clocks,
    docstrings,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_is_in_order(rule: Rule) -> None:
    faults = [fault for source in sources() for fault in rule(source)]
    assert not faults, "\n" + "\n".join(faults)


BAD = (
    (clocks, "dashboard.waiting", "@st.fragment(run_every=1)\ndef f(): pass"),
    (layers, "core.errors", "import torch"),
    (layers, "core.results.attribution", "def f():\n    import torch"),
    (layers, "core.results.attribution", "import pandas"),
    (layers, "core.models.loaded", "from captum.attr import Saliency"),
    (layers, "core.models.loaded", "from core.attribution import registry"),
    (layers, "core.models.card", "def f():\n    import torch"),
    (layers, "core.attribution.gradient", "import streamlit as st"),
    (layers, "core.attribution.gradient", "from core.engine.call import Call"),
    (layers, "core.attribution.registry", "import captum.attr"),
    (layers, "core.engine.process", "import torch"),
    (layers, "core.engine.process", "class A:\n    import torch"),
    (layers, "core.engine.inline", "def f():\n    import ray"),
    (layers, "core.engine.inline", "import importlib\nimportlib.import_module('dashboard.state')"),
    (layers, "core.engine.inline", "from ..models import card"),
    (layers, "sample_models.digits_cnn", "from dashboard import theme"),
    (layers, "dashboard.figures.attribution", "from core.models.card import ModelCard"),
    (layers, "dashboard.figures.attribution", "import streamlit"),
    (layers, "dashboard.figures.attribution", "import pandas"),
    (layers, "dashboard.export", "def f():\n    import streamlit"),
    (layers, "dashboard.views.layers", "def f():\n    from sklearn.manifold import TSNE"),
    (layers, "dashboard.cached", "import torch"),
    (layers, "elsewhere.file", "import torch"),
    (words, "core.attribution.gradient", "def integrate(num_steps): pass"),
    (words, "core.attribution.gradient", "saliency_map = 1"),
    (words, "core.attribution.gradient", "def f(self):\n    self._target_class = 1"),
    (words, "core.attribution.gradient", "class Snapshot: pass"),
    (words, "core.attribution.gradient", "def f(*, reference_input=None): pass"),
    (nouns, "core.utils", "x = 1"),
    (nouns, "dashboard.figures.helpers", "x = 1"),
    (sizes, "core.long", "x = 1\n" * (LONGEST_FILE + 1)),
    (shadows, "dashboard.core", "x = 1"),
    (shadows, "dashboard.plotly", "x = 1"),
    (shadows, "dashboard.ray", "x = 1"),
    (shadows, "dashboard.json", "x = 1"),
    (shadows, "dashboard.torch.deep", "x = 1"),
    (unsafe, "core.store", "import pickle"),
    (unsafe, "core.store", "def f():\n    from joblib import load"),
    (unsafe, "core.models.loader", "torch.load(path)"),
    (unsafe, "core.models.loader", "torch.load(path, weights_only=False)"),
    (unsafe, "core.models.loader", "AutoModel.from_pretrained(n, trust_remote_code=True)"),
    (unsafe, "core.store", "np.load(path, allow_pickle=True)"),
    (unsafe, "core.parameters", "eval('1')"),
    (unsafe, "core.parameters", "exec(text)"),
    (unsafe, "dashboard.cli", "subprocess.run(text, shell=True)"),
    (unsafe, "dashboard.cli", "os.system(text)"),
    (unsafe, "dashboard.views.overview", "st.markdown(text, unsafe_allow_html=True)"),
    (streamlit_state, "dashboard.views.overview", "st.session_state['x'] = 1"),
    (streamlit_state, "dashboard.state", "@st.cache_data\ndef f(): pass"),
    (streamlit_state, "dashboard.views.overview", "@st.cache_resource(ttl=1)\ndef f(): pass"),
    (docstrings, "core.tasks", '"""Tasks."""\ndef parse(): pass'),
    (docstrings, "core.tasks", '"""Tasks."""\nclass A:\n    "A."\n    def b(self): pass'),
    (docstrings, "dashboard.theme", "x = 1"),
)

GOOD = (
    (layers, "core.results.attribution", "import json\nimport numpy as np\nfrom core import tasks"),
    (layers, "core.attribution.registry", "def f():\n    import captum.attr"),
    (layers, "core.engine.process", "def f():\n    import torch"),
    (layers, "core.engine.process", "if TYPE_CHECKING:\n    import torch"),
    (layers, "core.engine.ray", "def f():\n    import ray"),
    (layers, "core.models.loaded", "import torch\nfrom core.models.card import ModelCard"),
    (layers, "dashboard.figures.attribution", "import plotly.graph_objects as go\nimport numpy"),
    (layers, "dashboard.views.layers", "import streamlit as st\nfrom core.results import Layers"),
    (words, "core.attribution.gradient", "captum(num_samples=n_samples)\nx = y.saliency_map"),
    (sizes, "core.long", "x = 1\n" * LONGEST_FILE),
    (shadows, "dashboard.theme", "x = 1"),
    (shadows, "core.errors", "x = 1"),
    (unsafe, "core.models.loader", "torch.load(path, weights_only=True)\nmodule.eval()"),
    (unsafe, "core.store", "np.load(path, allow_pickle=False)"),
    (unsafe, UNSAFE_HTML_FILE, "st.markdown(text, unsafe_allow_html=True)"),
    (streamlit_state, "dashboard.state", "st.session_state['x'] = 1"),
    (streamlit_state, "dashboard.cached", "@st.cache_data\ndef f(): pass"),
    (docstrings, "core.tasks", '"""Tasks."""\ndef _hidden(): pass'),
    (docstrings, "core", ""),
)


@pytest.mark.parametrize(("rule", "module", "text"), BAD)
def test_rule_reports_what_is_wrong(rule: Rule, module: str, text: str) -> None:
    faults = rule(Source(module, text))
    assert len(faults) == 1
    assert module in faults[0]


@pytest.mark.parametrize(("rule", "module", "text"), GOOD)
def test_rule_leaves_alone_what_is_right(rule: Rule, module: str, text: str) -> None:
    assert rule(Source(module, text)) == []


def circle(files: Iterable[Source]) -> list[str]:
    """Modules that import each other while they are being imported, in order; empty if none."""
    known = {source.module: source for source in files}
    graph = {}
    for module, source in known.items():
        names = [each.name for each in imports(source) if not each.late]
        targets = {name if name in known else name.rpartition(".")[0] for name in names}
        graph[module] = targets & known.keys() - {module}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circular_imports() -> None:
    assert circle(sources()) == []


def test_a_circle_is_found() -> None:
    one, two = Source("core.one", "import core.two"), Source("core.two", "from core import three")
    three = Source("core.three", "from core.one import name")
    late = Source("core.three", "def f():\n    from core.one import name")
    assert set(circle([one, two, three])) == {"core.one", "core.two", "core.three"}
    assert circle([one, two, late]) == []


def imported_by(modules: Iterable[str], banned: Iterable[str]) -> list[str]:
    """Which of ``banned`` are loaded once ``modules`` are, in a process of their own.

    A page draws itself in the last line of its file, ``main()``: that line is left out here.
    """
    script = """
import ast, importlib, importlib.util, sys, warnings
warnings.simplefilter("ignore")
modules, banned = (argument.split(",") for argument in sys.argv[1:])
for name in modules:
    spec = importlib.util.find_spec(name)
    tree = ast.parse(open(spec.origin, encoding="utf-8").read())
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        del tree.body[-1]
        exec(compile(tree, spec.origin, "exec"), {"__name__": name, "__file__": spec.origin})
    else:
        importlib.import_module(name)
print(",".join(name for name in banned if name in sys.modules))
"""
    command = [sys.executable, "-c", script, ",".join(modules), ",".join(banned)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [name for name in done.stdout.strip().split(",") if name]


def test_the_dashboards_process_stays_light() -> None:
    modules = [source.module for source in sources() if source.package == "dashboard"]
    assert len(modules) > 10
    assert imported_by(modules, [*HEAVY, "sample_models.digits_cnn"]) == []


def test_a_heavy_import_is_noticed() -> None:
    assert imported_by(["core.models.image"], ["torch", "captum"]) == ["torch"]


def test_declarations_stay_light() -> None:
    light = ["core", "core.attribution.registry", "core.models.catalogue", "core.parameters"]
    light += [source.module for source in sources() if is_below(source.module, "core.engine")]
    light = [module for module in light if module not in ("core.engine.worker", "core.engine.ray")]
    light += [each.module for each in metadata.entry_points(group="fluoroscope.sources")]
    assert imported_by(light, [*HEAVY, "streamlit", "plotly"]) == []
