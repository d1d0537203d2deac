"""A hostile collection of ``.pt2`` files: nothing in them runs, and each gets a sentence.

Files are made by torch's own tools and then changed byte by byte. The collection is also read in a
process that watches what Python does: no unpickling, no evaluation, no process, no torch.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import BadModel
from core.models.exported.clean import CARD, clean
from core.models.exported.expressions import rewritten
from core.models.exported.operators import allowed

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"
Members = dict[str, bytes]
Change = Callable[[Members], None]


class Payload:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('ran', 'w').close()",)


class Net(nn.Module):
    """A convolution, a buffer that is no weight, a constant, and sizes that depend on the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.head = nn.Linear(2 * 6 * 6, 3)
        self.register_buffer("shift", torch.ones(3), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits ``[example, class]``."""
        hidden = torch.relu(self.conv(pixels))
        return self.head(hidden.reshape(hidden.shape[0], -1)) + self.shift * torch.tensor(2.0)


def exported(path: Path, **more: Any) -> Path:
    """The network as plain PyTorch saves it."""
    free = ({0: torch.export.Dim("n")},)
    return saved(Net(), (torch.rand(2, 1, 8, 8),), path, free, **more)


def saved(
    net: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, free: Any = None, **more: Any
) -> Path:
    """Export and save, without torch's warnings about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net.eval(), inputs, dynamic_shapes=free)
        torch.export.save(program, path, **more)
    return path


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The parts of a good file."""
    path = exported(tmp_path_factory.mktemp("exported") / "net.pt2")
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(path: Path, members: Members, root: str = "net") -> Path:
    """The parts as a file again."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
    return path


def edit(member: str, change: Callable[[Any], Any]) -> Change:
    """Change a JSON part."""

    def apply(members: Members) -> None:
        content = json.loads(members[member])
        changed = change(content)
        members[member] = json.dumps(content if changed is None else changed).encode()

    return apply


def graph(change: Callable[[Any], Any]) -> Change:
    """Change the graph."""
    return edit(MODEL, lambda content: change(content["graph_module"]["graph"]) and None)


def node(**values: Any) -> Change:
    """Change the first step."""
    return graph(lambda each: each["nodes"][0].update(values))


def size(text: str) -> Change:
    """Say a size in other words."""

    def change(content: Any) -> None:
        values = content["graph_module"]["graph"]["tensor_values"]
        about = next(each for each in values.values() if "as_expr" in str(each["sizes"][:1]))
        about["sizes"][0]["as_expr"]["expr_str"] = text

    return edit(MODEL, change)


def tensor(**values: Any) -> Change:
    """Say something else of the first weight."""

    def change(content: Any) -> None:
        about = next(iter(content["config"].values()))
        about["tensor_meta"].update(values)

    return edit(WEIGHTS, change)


def entry(member: str, **values: Any) -> Change:
    """Say something else of where the first tensor lies, with a pickle in its place."""

    def apply(members: Members) -> None:
        edit(member, lambda content: next(iter(content["config"].values())).update(values))(members)
        folder = member.rpartition("/")[0]
        members[f"{folder}/{values['path_name']}"] = pickle.dumps(Payload())

    return apply


def nesting(kind: str, context: Any) -> Change:
    """Another kind of output."""
    leaf = {"type": None, "context": None, "children_spec": []}
    spec = json.dumps([1, {"type": kind, "context": context, "children_spec": [leaf]}])

    def change(content: Any) -> None:
        content["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec

    return edit(MODEL, change)


CALL = "__import__('os').system('touch ran')"
WHOLE = [{"as_int": 5_000_000_000}, {"as_int": 1}]
ONE = [{"as_int": 1}, {"as_int": 1}]
REFUSED: dict[str, Change] = {
    "a pickled weight": entry(WEIGHTS, use_pickle=True, path_name="weight_9"),
    "a pickled constant": entry(CONSTANTS, use_pickle=True, path_name="tensor_9"),
    "a custom object": entry(CONSTANTS, use_pickle=True, path_name="custom_obj_0"),
    "an opaque object": entry(
        CONSTANTS, use_pickle=False, tensor_meta=None, path_name="opaque_obj_0"
    ),
    "a call as a size": size(CALL),
    "an attribute of a size": size("Symbol('s0').__class__"),
    "a quoted call as a size": size(f'Symbol("{CALL}")'),
    "a tower of powers": size("Pow(Integer(9), Pow(Integer(9), Integer(9)))"),
    "a huge power": size("Pow(Integer(9), Integer(999999999))"),
    "a lambda as a size": size("Lambda(Symbol('s0'), Integer(1))"),
    "a loader": node(target="torch.serialization.load"),
    "a shell": node(target="torch.utils.cpp_extension.os.system"),
    "a builtin": node(target="_operator.attrgetter"),
    "a module of maths": node(target="math.__loader__.load_module"),
    "a file reader": node(target="torch.ops.aten.from_file.default"),
    "a file writer": node(target="torch.ops.aten.save.default"),
    "a library loader": node(target="torch.ops.load_library"),
    "an extension": node(target="#own:operator"),
    "an operator of others": node(target="torch.ops.mylib.run.default"),
    "an output parameter": node(target="torch.ops.aten.add.out"),
    "code as the name of a step": node(name=f"x = {CALL} #"),
    "code as an input's name": graph(
        lambda each: each["inputs"][0].update(as_tensor={"name": f"p):\n {CALL}\n#"})
    ),
    "a keyword as a name": node(name="import"),
    "a name of Python's own": node(name="__builtins__"),
    "code as the name of a layer": node(metadata={"nn_module_stack": f"{CALL},,x.Y"}),
    "an operator as an argument": graph(
        lambda each: each["nodes"][0]["inputs"][0].update(arg={"as_operator": "torch.hub.load"})
    ),
    "an object as an argument": graph(
        lambda each: each["nodes"][0]["inputs"][0].update(
            arg={"as_custom_obj": {"name": "x", "class_fqn": "y"}}
        )
    ),
    "objects in the graph": graph(
        lambda each: each.update(custom_obj_values={"x": {"name": "x", "class_fqn": "y"}})
    ),
    "a factory of another module": nesting(
        "collections.defaultdict",
        {"default_factory_module": "os", "default_factory_name": "system", "dict_context": ["a"]},
    ),
    "an enumeration of another module": nesting(
        "builtins.dict", json.dumps([{"__enum__": True, "fqn": "os:system", "name": "x"}])
    ),
    "a weight called like a method": edit(
        WEIGHTS,
        lambda content: content["config"].update(
            {"conv.__class__": next(iter(content["config"].values()))}
        ),
    ),
    "20 GB in a small file": tensor(sizes=WHOLE, strides=ONE),
    "20 GB of repeats": tensor(sizes=WHOLE, strides=[{"as_int": 0}, {"as_int": 0}]),
    "a tensor beyond its bytes": tensor(storage_offset={"as_int": 40_000}),
    "a tensor before its bytes": tensor(storage_offset={"as_int": -8}),
    "a tensor of no size": tensor(sizes=[{"as_expr": {"expr_str": "Integer(1)"}}], strides=ONE[:1]),
    "an unknown type": tensor(dtype=77),
    "a sparse tensor": tensor(layout=1),
    "a missing weight": edit(WEIGHTS, lambda content: {"config": {}}),
    "no bytes for a weight": lambda members: members.pop("data/weights/weight_0") and None,
    "no program": lambda members: members.pop(MODEL) and None,
    "two programs": lambda members: members.update({"models/two.json": members[MODEL]}),
    "a path upwards": lambda members: members.update({"../../ran": b""}),
    "an absolute path": lambda members: members.update({"/ran": b""}),
    "another version": edit(MODEL, lambda content: content.update(schema_version={"major": 99})),
    "another shape of JSON": lambda members: members.update({MODEL: b"[1]"}),
    "endless nesting": lambda members: members.update({MODEL: b"[" * 200_000}),
    "no JSON": lambda members: members.update({MODEL: b"\x80\x04\x95"}),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda members: None,
    "a pickle as sample inputs": lambda members: members.update({SAMPLES: pickle.dumps(Payload())}),
    "weights of the old format": lambda members: members.update(
        {"data/weights/model.pt": pickle.dumps(Payload())}
    ),
    "constants of the old format": lambda members: members.update(
        {"data/constants/model.pt": pickle.dumps(Payload())}
    ),
    "a compiled library": lambda members: members.update(
        {"data/aotinductor/model/x.so": b"\x7fELF", "data/aotinductor/model/x.cpp": b"main"}
    ),
    "code as a guard": edit(MODEL, lambda content: content.update(guards_code=[CALL])),
    "code as a trace": node(metadata={"stack_trace": f'File "x", line 1, in f\n {CALL}'}),
    "an unknown verifier": edit(MODEL, lambda content: content.update(verifiers=["os"])),
    "objects as meta data": edit(
        MODEL,
        lambda content: content["graph_module"].update(
            metadata={"custom": CALL}, treespec_namedtuple_fields={"os": {"field_names": ["a"]}}
        ),
    ),
    "a zip in the zip": lambda members: members.update({"extra/more.zip": b"PK\x03\x04"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(name: str, members: Members, tmp_path: Path) -> None:
    changed = copy.copy(members)
    REFUSED[name](changed)
    with pytest.raises(BadModel) as caught:
        clean(packed(tmp_path / "bad.pt2", changed), tmp_path / "out.pt2")
    assert caught.value.message.endswith(".")
    assert caught.value.next_step
    assert not (tmp_path / "out.pt2").exists()


@pytest.mark.parametrize("name", HARMLESS)
def test_left_behind(name: str, members: Members, tmp_path: Path) -> None:
    changed = copy.copy(members)
    HARMLESS[name](changed)
    found = clean(packed(tmp_path / "file.pt2", changed), tmp_path / "out.pt2")
    assert [each.least for each in found.inputs] == [(0, 1, 8, 8)]
    with zipfile.ZipFile(tmp_path / "out.pt2") as archive:
        kept = {each.partition("/")[2]: archive.read(each) for each in archive.namelist()}
    assert kept[SAMPLES] == b""
    assert not any(word in b"".join(kept.values()) for word in (b"touch", b"ran'", b"ELF", b"PK"))
    # The clean file is clean: reading it again changes nothing.
    clean(tmp_path / "out.pt2", tmp_path / "again.pt2")
    assert (tmp_path / "again.pt2").read_bytes() == (tmp_path / "out.pt2").read_bytes()


def zips(folder: Path, members: Members) -> list[Path]:
    """Files that are wrong as archives."""
    good = packed(folder / "good.pt2", members).read_bytes()
    paths = []

    def write(name: str, data: bytes) -> None:
        paths.append(folder / name)
        paths[-1].write_bytes(data)

    write("empty.pt2", b"")
    write("half.pt2", good[: len(good) // 2])
    write("tail.pt2", good[-300:])
    write("pickle.pt2", pickle.dumps(Payload()))
    write("torch.pt2", _saved())
    flipped = bytearray(good)
    place = good.index(members["data/weights/weight_0"])
    flipped[place] ^= 1
    write("flipped.pt2", bytes(flipped))
    for name, change in (
        ("twice", lambda z: z.writestr(f"net/{MODEL}", members[MODEL])),
        ("bomb", lambda z: z.writestr("net/extra/x", bytes(10**6), zipfile.ZIP_DEFLATED)),
        ("roots", lambda z: z.writestr("other/x", b"")),
        ("link", lambda z: z.writestr(_link(), "/etc/passwd")),
        ("folder", lambda z: z.writestr("net/extra/", b"")),
    ):
        out = io.BytesIO(good)
        with warnings.catch_warnings(), zipfile.ZipFile(out, "a") as archive:
            warnings.simplefilter("ignore")  # zipfile warns of doubled names
            change(archive)
        write(f"{name}.pt2", out.getvalue())
    return paths


def _saved() -> bytes:
    out = io.BytesIO()
    torch.save({"x": torch.ones(1)}, out)
    return out.getvalue()


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("net/extra/link")
    info.external_attr = 0o120777 << 16
    return info


def test_broken_archives_get_a_sentence(members: Members, tmp_path: Path) -> None:
    for path in zips(tmp_path, members):
        with pytest.raises(BadModel, match=r"\.pt2'"):
            clean(path, tmp_path / "out.pt2")


WATCHED = """
import sys
from pathlib import Path
from core.models.exported.clean import clean
from core.errors import BadModel
seen = []
def watch(event, arguments):
    if event.startswith(("pickle.", "os.", "subprocess.", "socket.", "marshal.")) or event in (
        "exec", "compile", "import", "ctypes.dlopen"
    ):
        seen.append(event)
folder = Path(sys.argv[1])
files = sorted(folder.glob("*.pt2"))
def read(path):
    try:
        clean(path, folder / "out")
    except BadModel:
        pass
for path in files:  # whatever the library loads late is loaded now
    read(path)
sys.addaudithook(watch)
for path in files:
    read(path)
print(len(files), sorted(set(seen) - {"os.remove", "os.stat"}), "torch" in sys.modules)
"""


def test_nothing_runs_while_files_are_looked_over(members: Members, tmp_path: Path) -> None:
    for number, change in enumerate((REFUSED | HARMLESS).values()):
        changed = copy.copy(members)
        change(changed)
        packed(tmp_path / f"{number}.pt2", changed)
    zips(tmp_path, members)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == f"{len(list(tmp_path.glob('*.pt2')))} [] False\n"
    assert not Path("ran").exists()
    assert not (tmp_path / "ran").exists()


def test_the_watch_would_notice(tmp_path: Path) -> None:
    script = WATCHED.replace(
        'clean(path, folder / "out")', "exec('1'); import pickle; pickle.loads(path.read_bytes())"
    )
    (tmp_path / "x.pt2").write_bytes(pickle.dumps(io.BytesIO))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "pickle.find_class" in done.stdout
    assert "exec" in done.stdout


def test_the_card_comes_along(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", extra_files={CARD: '{"title": "Mine"}'})
    assert clean(path, tmp_path / "out.pt2").card == '{"title": "Mine"}'


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s1', integer=True), Pow(Symbol('u0'), Integer(2)))",
        "Min(Integer(64), Add(Integer(-1), FloorDiv(Symbol('s53'), Integer(2))))",
        "Equality(Mod(Symbol('s5'), Integer(2)), Integer(0))",
        "Rational(1, 2)",
        "true",
    ],
)
def test_arithmetic_is_written_as_it_was(text: str) -> None:
    assert rewritten(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "Integer(1", "Integer(1))", "Integer(1.5)", "Integer(10**9)",
        "Integer(99999999999999999)",
        "Symbol('x')", "Symbol('s1', commutative=False)", "Symbol('s1', integer=False)", "s0 + 1",
        "eval('1')", "Rational(1, 0)", "Add()", "Not(Integer(1), Integer(2))", "Function('f')(1)",
        "Pow(Integer(2), Symbol('s0'))", "Add(" * 60 + "Integer(1)" + ")" * 60, "Integer(1)\n;x",
        "Symbol(\"s1\")", "Str('a')", "ord('a')", "Integer(１)",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rewritten(text)


def test_operators_are_known_to_torch() -> None:
    """Every name on the list is an operator of this PyTorch, so that none is a slip."""
    from core.models.exported.operators import ATEN

    known = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    known |= {schema.name for schema in torch._C._jit_get_all_schemas()}
    assert sorted(name for name in ATEN if f"aten::{name}" not in known) == []
    assert not allowed("torch.ops.aten.from_file.default")
    assert allowed("torch.ops.aten.relu_.default")
    assert allowed("torch.ops.aten.__and__.Tensor")


@pytest.mark.parametrize(
    "name",
    [
        "grid_sampler_2d.default",  # answers with whatever lay in memory for a mode of 77
        "empty.memory_format",  # the same for every call
        "new_empty.default",
        "as_strided.default",
        "_reshape_alias.default",
        "_upsample_bilinear2d_aa.default",  # reads beyond its input for a scale of its own
        "upsample_nearest2d.default",
        "native_batch_norm.default",
        "native_group_norm.default",  # reads weights as if they lay in one piece
        "_embedding_bag.default",
        "index_put_.default",
        "add.out",
        "max.dim_max",
        "mm.dtype",
        "lstm.data",
        "topk.values",
        "scatter.src_out",
        "sum.dim_DimnameList",
        "cat.names",
    ],
)
def test_what_no_network_needs_is_not_on_the_list(name: str) -> None:
    assert not allowed(f"torch.ops.aten.{name}")


def test_the_list_has_nothing_that_writes_into_what_it_is_given() -> None:
    """By the schemas of torch: no overload with an output among its arguments."""
    for schema in torch._C._jit_get_all_schemas():
        name = schema.name.removeprefix("aten::")
        if allowed(f"torch.ops.aten.{name}.{schema.overload_name or 'default'}"):
            assert not any(each.is_out for each in schema.arguments), str(schema)


@pytest.mark.parametrize("place", [3, -4, 2**40, -(2**62)])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool])
def test_operators_that_write_to_places_look_at_them(
    place: int, spread: bool, kind: torch.dtype
) -> None:
    """Just outside and far outside, also where one place stands for many."""
    aten, given = torch.ops.aten, torch.zeros(3, 5).to(kind)
    for axis in (0, 1):
        off = place if axis == 0 or abs(place) > 9 else place + (2 if place > 0 else -2)
        index = torch.full((3, 1), off).expand(3, 5) if spread else torch.full((3, 5), off)
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            aten.scatter.src(given, axis, index, given)
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            aten.scatter.value(given, axis, index, 1)
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            aten.scatter_add(given, axis, index, given)
    many = torch.zeros(4, 5, dtype=torch.int64)  # more places than there are values
    for call in (aten.scatter.src, aten.scatter_add):
        with pytest.raises(RuntimeError, match="Expected index"):
            call(given, 1, many, given)
    for count in (6, -1):
        with pytest.raises(RuntimeError, match="out of range"):
            aten.topk(torch.zeros(3, 5), count)
