"""What a stranger's network is held in: limits that bite, deeds that are refused, folders that go.

Each refusal has its control: the same where nothing is refused.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confined_verbs
import pytest
from confined_verbs import VERBS

from core.confinement import probe, process
from core.confinement.folders import HeldFolder, sweep, temporary
from core.confinement.kernel import able
from core.engine.call import Call
from core.engine.engine import Engine
from core.engine.job import submit
from core.engine.process import ProcessExecutor
from core.errors import BadModel, Cancelled, EngineError, OutOfMemory, WorkerDied
from core.models.catalogue import catalogue
from core.models.reference import ModelRef
from core.progress import Meter
from core.workspace import Workspace

HERE = Path(confined_verbs.__file__).parent
BROUGHT, KNOWN = ModelRef("own:net", "f" * 64), ModelRef("toy", "f" * 64)
TIMEOUT = 60.0


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Toy modules are found, and temporary folders are these tests' own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent)]))
    home = tmp_path / "tmp"
    home.mkdir()
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(home))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessExecutor]:
    monkeypatch.setenv("FLUOROSCOPE_WORKER_GIB", "1")
    with ProcessExecutor(workspace=Workspace(tmp_path / "place"), verbs=VERBS) as executor:
        yield executor


@pytest.fixture
def pipe() -> Path:
    """Whoever reads it waits for what a verb writes."""
    made = Path(tempfile.gettempdir(), "pipe")
    os.mkfifo(made)
    return made


def ask(verb: str, model: ModelRef = BROUGHT, **parameters: Any) -> Call:
    return Call(verb, model, parameters=parameters)


# The worker: memory, time, cancel


def test_memory_without_end_is_a_sentence_and_the_worker_lives(worker: ProcessExecutor) -> None:
    before = worker.submit(ask("process_number")).result(TIMEOUT)
    with pytest.raises(
        OutOfMemory,
        match=r"Memory ran out during 'grow'.*: 1 GiB are allowed\..*FLUOROSCOPE_WORKER_GIB",
    ):
        worker.submit(ask("grow")).result(TIMEOUT)
    assert worker.submit(ask("process_number", again=1)).result(TIMEOUT) == before


def test_memory_that_no_limit_counts_ends_the_worker_and_another_comes(
    worker: ProcessExecutor,
) -> None:
    before = worker.submit(ask("process_number")).result(TIMEOUT)
    greedy = worker.submit(ask("share"))
    waiting = worker.submit(ask("process_number", KNOWN))
    with pytest.raises(
        WorkerDied, match=r"needed more than 1 GiB of memory \(FLUOROSCOPE_WORKER_GIB\).*raise"
    ):
        greedy.result(TIMEOUT)
    assert waiting.result(TIMEOUT) != before


def test_one_step_that_never_ends_ends_with_the_worker(
    worker: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUOROSCOPE_STEP_SECONDS", "1")
    endless = worker.submit(ask("stuck"))
    waiting = worker.submit(ask("process_number", KNOWN))
    with pytest.raises(WorkerDied, match=r"one step took more than 1 seconds"):
        endless.result(TIMEOUT)
    assert waiting.result(TIMEOUT) > 0


@pytest.mark.parametrize("verb", ["stuck", "spell"])
def test_cancel_ends_what_cannot_be_asked_to_stop(
    worker: ProcessExecutor, verb: str, pipe: Path
) -> None:
    if verb == "spell":
        pytest.importorskip("tokenizers")
    endless = worker.submit(ask(verb, pipe=str(pipe)))
    before = int(pipe.read_text())
    waiting = worker.submit(ask("process_number", KNOWN))
    endless.cancel()
    with pytest.raises(Cancelled):
        endless.result(TIMEOUT)
    assert waiting.result(TIMEOUT) != before


def test_a_worker_that_hears_nobody_ends_after_its_parent(pipe: Path) -> None:
    script = (
        "import sys; from confined_verbs import VERBS; from core.engine.call import Call\n"
        "from core.engine.process import ProcessExecutor\n"
        "from core.models.reference import ModelRef\n"
        "call = Call('stuck', ModelRef('toy', ''), (), {'life': sys.argv[1]})\n"
        "ProcessExecutor(verbs=VERBS).submit(call).result()\n"
    )
    command = [sys.executable, "-c", script, str(pipe)]
    environment = {**os.environ, "FLUOROSCOPE_STEP_SECONDS": "0.5"}
    with subprocess.Popen(command, env=environment) as parent, pipe.open("rb") as life:
        assert life.read(1) == b"x"
        parent.kill()
        assert life.read() == b""  # its end


def test_what_is_no_exception_is_an_error_too(worker: ProcessExecutor) -> None:
    before = worker.submit(ask("process_number")).result(TIMEOUT)
    with pytest.raises(EngineError, match="PanicException, gave up"):
        worker.submit(ask("panic")).result(TIMEOUT)
    assert worker.submit(ask("process_number", again=1)).result(TIMEOUT) == before


# The worker: deeds


def test_a_network_starts_nothing_and_writes_nowhere_else(
    worker: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A home beside the temporary folder: pytest's own lies in there.
    outside = HERE / "written-by-a-network"
    place = worker_place(tmp_path)
    for verb, path in (
        ("start", ""),
        ("write", outside),
        ("write", place / "models" / "m"),
        ("write", place / "results" / "of-others"),
        ("write", place / "settings.toml"),
    ):
        with pytest.raises(BadModel, match=r"was stopped: it tried to .*do not trust"):
            worker.submit(ask(verb, path=str(path))).result(TIMEOUT)
    assert not outside.exists()
    assert worker.submit(ask("write", path=str(place / "brought" / "x"))).result(TIMEOUT)
    # The control: the same on a model that comes with a package.
    assert worker.submit(ask("start", KNOWN)).result(TIMEOUT) == "ran"
    with pytest.raises(BadModel, match="was stopped"):  # and once more, after that
        worker.submit(ask("start", again=1)).result(TIMEOUT)


def worker_place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    for name in ("models", "results", "brought"):
        (place / name).mkdir(parents=True, exist_ok=True)
    return place


DEEDS = {
    "unpickle": "import pickle; pickle.loads(pickle.dumps(Path))",
    "system": "import os; os.system('true')",
    "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "import os; os.fork() or os._exit(0)",
    "exec": "import os; os.execv('/nonexistent', ['x'])",
    "connect": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "resolve": "import socket; socket.getaddrinfo('localhost', 1)",
    "bind": "import socket; socket.socket().bind(('127.0.0.1', 0))",
    "kill": "import os; os.kill(os.getpid(), 0)",
    "library": "import ctypes; ctypes.CDLL(str(OUT / 'x.so'))",
    "open": "(OUT / 'a').open('w')",
    "descriptor": "import os; os.open(OUT / 'b', os.O_CREAT | os.O_WRONLY)",
    "memory": "open('/proc/self/mem', 'r+b')",
    "remove": "(OUT / 'kept').unlink()",
    "rename": "(HOME / 'mine').rename(OUT / 'c')",
    "folder": "(OUT / 'd').mkdir()",
    "tree": "import shutil; shutil.rmtree(OUT)",
    "link": "(HOME / 'l').symlink_to(OUT)",
    "truncate": "import os; os.truncate(OUT / 'kept', 0)",
}
SCRIPT = """
import json, sys
from pathlib import Path
from core.confinement import guard
OUT, HOME = Path(sys.argv[1]), Path(sys.argv[2])
guard.guard(4, [HOME])
told = {}
for name, deed in json.loads(sys.argv[3]).items():
    (HOME / "mine").write_text("x")
    with guard.armed(sys.argv[4] == "armed"):
        try:
            exec(deed)
            told[name] = ""
        except BaseException as error:
            told[name] = type(error).__name__
    OUT.mkdir(exist_ok=True)
    (OUT / "kept").write_text("x")
import tempfile
with guard.armed(True), tempfile.TemporaryDirectory() as folder:
    Path(folder, "deep").mkdir()
    Path(folder, "deep", "file").write_text("x")
with guard.armed(False):
    guard.arm()
    try:
        (OUT / "late").write_text("x")
        told["arm"] = ""
    except PermissionError as error:
        told["arm"] = type(error).__name__
print(json.dumps(told))
"""


@pytest.mark.parametrize("how", ["armed", "not"])
def test_deeds_are_refused_while_the_guard_is_armed(how: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with tempfile.TemporaryDirectory(dir=HERE) as outside:
        command = [sys.executable, "-c", SCRIPT, outside, str(home), json.dumps(DEEDS), how]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("arm") == "Forbidden"
    assert set(told) == set(DEEDS)
    if how == "armed":
        assert set(told.values()) == {"Forbidden"}
    else:  # some fail by themselves, none is refused
        assert "Forbidden" not in told.values()
        assert sum(not each for each in told.values()) > len(DEEDS) // 2


# The kernel, which refuses also what no audit hook sees

KERNEL = """
import ctypes, json, os, sys
from pathlib import Path
from core.confinement import kernel
outside, inside = Path(sys.argv[1]), Path(sys.argv[2])
library = ctypes.CDLL(None, use_errno=True)
TGKILL = 131 if os.uname().machine == "aarch64" else 234
held = sys.argv[3] == "held"
able = [not held or kernel.keep_to([inside]), not held or kernel.refuse_calls()]
kept, other = os.fsencode(outside / "kept"), int(sys.argv[4])
mine = os.fsencode(inside / "mine")
library.close(library.open(mine, os.O_CREAT | os.O_WRONLY, 0o600))
limits = (ctypes.c_ulong * 2)()
told = {
    "socket": library.socket(2, 1, 0) < 0,
    "mode": library.chmod(kept, 0o600) < 0,
    "owner": library.chown(kept, os.getuid(), os.getgid()) < 0,
    "attribute": library.setxattr(kept, b"user.x", b"1", 1, 0) < 0,
    "truncate": library.truncate(kept, 0) < 0,
    "pipe": library.mkfifo(mine + b".pipe", 0o600) < 0,
    "link": library.symlink(kept, mine + b".link") < 0,
    "second name": library.link(kept, mine + b".name") < 0,
    "signal": library.kill(other, 0) < 0,
    "group": library.kill(0, 0) < 0,
    "thread": library.syscall(TGKILL, other, other, 0) < 0,
    "limit": library.prlimit(other, 7, None, limits) < 0,
    "typing": library.ioctl(0, 0x5412, b"x") < 0 and ctypes.get_errno() == 1,
    "own signal": library.kill(os.getpid(), 0) < 0,
    "own thread": library.syscall(TGKILL, os.getpid(), os.getpid(), 0) < 0,
    "own limit": library.prlimit(0, 7, None, limits) < 0,
    "control": library.ioctl(0, 0x5401, b"x") < 0 and ctypes.get_errno() == 1,
    "write": library.open(os.fsencode(outside / "a"), os.O_CREAT | os.O_WRONLY, 0o600) < 0,
    "remove": library.unlink(os.fsencode(outside / "kept")) < 0,
    "inside": library.open(os.fsencode(inside / "b"), os.O_CREAT | os.O_WRONLY, 0o600) < 0,
    "nothing": library.open(b"/dev/null", os.O_WRONLY) < 0,
}
print(json.dumps([able, told]), flush=True)
words = (ctypes.c_char_p * 3)(b"echo", b"started", None)
library.execv(b"/bin/echo", words)
"""


@pytest.mark.parametrize("how", ["held", "free"])
def test_the_kernel_refuses_what_machine_code_does(how: str, tmp_path: Path) -> None:
    folders = [tmp_path / "outside", tmp_path / "inside"]
    for each in folders:
        each.mkdir()
    (folders[0] / "kept").write_text("x")
    command = [sys.executable, "-c", KERNEL, *map(str, folders), how, str(os.getpid())]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    first, *rest = done.stdout.splitlines()
    (files, calls), told = json.loads(first)
    if not (files and calls):
        pytest.skip("this system has no Landlock or no seccomp")
    kept = how == "held"
    assert told.pop("typing") is kept or not kept  # without the right to, it may be refused anyway
    allowed = ("own signal", "own thread", "own limit", "control", "inside", "nothing")
    assert told == {name: kept and name not in allowed for name in told}
    assert set(allowed) < set(told)
    assert rest == ([] if kept else ["started"])


# The sealed worker


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(workspace=Workspace(tmp_path / "place"), verbs=VERBS) as both:
        yield both


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A pipe where a sealed worker may write."""
    made = worker_place(tmp_path) / "brought" / "pipe"
    os.mkfifo(made)
    return made


def deeds(tmp_path: Path) -> dict[str, str]:
    """Where ``machine`` writes, and to whom it signals."""
    apart = worker_place(tmp_path) / "brought" / "x"
    return {
        "outside": str(tmp_path / "x"), "inside": str(apart), "other": str(os.getpid()),
    }  # fmt: skip


ALLOWED = {
    "socket": 0, "exec": errno.ENOENT, "peek": 0, "signal": 0,
    "outside": 0, "inside": 0, "nothing": 0,
}  # fmt: skip
SEALED = {
    **ALLOWED, **dict.fromkeys(("socket", "exec", "peek", "signal"), errno.EPERM),
    "outside": errno.EACCES,
}  # fmt: skip


needs_seal = pytest.mark.skipif(not able(), reason="this system has no Landlock or no seccomp")


@needs_seal
def test_machine_code_of_a_brought_model_is_held_by_the_kernel(
    engine: Engine, tmp_path: Path
) -> None:
    asked = deeds(tmp_path)
    assert engine.submit(ask("machine", **asked)).result(TIMEOUT) == SEALED
    assert not Path(asked["outside"]).exists()
    # What others compute by, and what they computed.
    for place in ("models", "opened", "runs", "jobs", "compressed", "results", "captures", "data"):
        within = tmp_path / "place" / place
        within.mkdir(exist_ok=True)
        asked["outside"] = str(within / "x")
        assert engine.submit(ask("machine", **asked)).result(TIMEOUT) == SEALED
    for written in ("", "models = []"):  # the settings say whose code runs: not there, and there
        settings_file = tmp_path / "place" / "settings.toml"
        if written:
            settings_file.write_text(written)
        asked |= {"outside": str(settings_file), "there": written}
        assert engine.submit(ask("machine", **asked)).result(TIMEOUT) == SEALED
        assert settings_file.exists() is bool(written)
    asked = deeds(tmp_path)
    # The control: the worker of all other models.
    assert engine.submit(ask("machine", KNOWN, **asked)).result(TIMEOUT) == ALLOWED


@needs_seal
def test_a_job_on_a_brought_model_is_sealed_and_no_other(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "place")
    told = {}
    for number, name in enumerate((BROUGHT.name, KNOWN.name), 1):
        # What it is, which others read, is not its own to say.
        asked = {**deeds(tmp_path), "outside": str(place.jobs / str(number) / "job.json")}
        parameters = {**asked, "model": [name, ""]}
        job = submit(place, "machine", parameters, "cpu", worker="confined_verbs")
        assert job.wait() == "done", job.log()
        told[name] = job.result
    assert told[BROUGHT.name] == SEALED
    assert told[KNOWN.name] == ALLOWED


def test_each_model_has_its_worker(engine: Engine) -> None:
    assert engine.sealed.pid is None
    ordinary = engine.ordinary.pid
    for name in ("toy", "run:mine", "run:mine@3", "compressed:x"):
        assert engine.submit(ask("process_number", ModelRef(name, ""))).result(TIMEOUT) == ordinary
    # Comparing reads what another model, brought or not, has answered: numbers in a folder.
    other = ask("process_number", KNOWN, capture="/mine", other="/of/own:net")
    assert engine.submit(other).result(TIMEOUT) == ordinary
    assert engine.sealed.pid is None
    found = {
        engine.submit(ask("process_number", ModelRef(name, ""))).result(TIMEOUT)
        for name in ("own:net", "hf:/a", "compressed:own/x", "/a/b.skops", "net.onnx")
    }
    assert found == {engine.sealed.pid}
    assert ordinary not in found


OURS = ("digits_cnn", "run:digits-2026", "run:sweep/a (2)@12", "compressed:x.int8", "my.code:net")
STRANGE = (
    "own:net", "own:a.b", "hf:a/b", "hf:/a", "hf:net", "/a/b.skops", "~/c.onnx", "net.onnx",
    "./net", "net.skops", "folder/net", "run:/a/run", "run:../a", "run:a/../../b", "run:.a",
    "run:a@x/../b", "compressed:/a/x", "compressed:own/x", "compressed:../x", "compressed:~/x",
    "upload:net", "digits_cnn/", "digits_cnn\n", " digits_cnn", "x.pt2", "a:b:c", "a.:b", "a/b:c",
    "own:net:x",
)  # fmt: skip


def test_a_name_alone_says_whose_a_model_is() -> None:
    assert not [each for each in OURS if ModelRef(each, "").brought]
    assert not [each for each in STRANGE if not ModelRef(each, "").brought]
    assert not [each for each in catalogue() if ModelRef(each, "").brought]


def test_the_end_of_the_sealed_worker_leaves_the_other_alone(
    engine: Engine, inside: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    ordinary = engine.ordinary.pid
    before = engine.submit(ask("process_number", KNOWN))
    assert before.result(TIMEOUT) == ordinary
    going = engine.submit(ask("process_number", KNOWN, gate=str(gate)))
    brought = engine.submit(ask("stuck", pipe=str(inside)))
    os.kill(int(inside.read_text()), signal.SIGKILL)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        brought.result(TIMEOUT)
    gate.write_text("x")
    assert going.result(TIMEOUT) == ordinary == engine.ordinary.pid
    assert before.state == "done"
    assert engine.submit(ask("process_number")).result(TIMEOUT) not in (ordinary, None)


@pytest.mark.parametrize("model", [BROUGHT, KNOWN])
def test_cancel_in_one_worker_leaves_the_other_alone(
    engine: Engine, model: ModelRef, inside: Path
) -> None:
    one = engine.submit(ask("process_number", BROUGHT)).result(TIMEOUT)
    two = engine.submit(ask("process_number", KNOWN)).result(TIMEOUT)
    endless = engine.submit(ask("stuck", model, pipe=str(inside)))
    assert int(inside.read_text()) == (one if model is BROUGHT else two)
    engine.give_up(endless, lambda owner: True)
    assert endless.state == "cancelled"
    after = [engine.submit(ask("process_number", each, again=1)) for each in (BROUGHT, KNOWN)]
    assert [each.result(TIMEOUT) == was for each, was in zip(after, (one, two), strict=True)] == [
        model is not BROUGHT, model is BROUGHT,
    ]  # fmt: skip


def test_a_sealed_worker_goes_when_it_is_idle_and_comes_again(
    engine: Engine, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.process._IDLE_SECONDS", 0.0)
    call = ask("process_number", life=str(inside))
    asked = engine.submit(call)
    with inside.open("rb") as life:
        before = asked.result(TIMEOUT)
        assert life.read() == b""  # its end
    assert engine.stored(call)
    assert engine.submit(call).result(0) == before
    assert engine.submit(ask("process_number", again=1)).result(TIMEOUT) != before
    assert engine.submit(ask("process_number", KNOWN)).result(TIMEOUT) == engine.ordinary.pid


# Confined processes


def test_what_a_process_tells_and_where_it_may_leave_things() -> None:
    ended = process.run("confined_verbs", ["tell"])
    assert (ended.status, ended.late) == (0, False)
    found = ended.told["found"]
    assert found["args"] == ["tell", str(ended.seconds), str(ended.memory)]
    assert Path(found["home"]).parent == Path(tempfile.gettempdir())
    assert not Path(found["home"]).exists()


@needs_seal
def test_a_confined_process_is_sealed_before_it_opens_anything(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    asked = {**deeds(tmp_path), "inside": str(mine / "x")}
    ended = process.run("confined_verbs", ["machine", json.dumps(asked)], places=[mine])
    assert ended.told == {"found": SEALED}


def test_a_process_that_is_cancelled_is_gone_and_leaves_nothing(pipe: Path) -> None:
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.append(int(pipe.read_text())))
    waiting.start()
    with pytest.raises(Cancelled):
        process.run(
            "confined_verbs", ["hang", str(pipe)], Meter(cancelled=lambda: bool(found)),
            places=[pipe],
        )  # fmt: skip
    waiting.join()
    with pytest.raises(ProcessLookupError):
        os.kill(found[0], 0)
    assert list(Path(tempfile.gettempdir()).iterdir()) == [pipe]


def test_a_process_that_is_killed_says_how() -> None:
    ended = process.run("confined_verbs", ["kill"])
    assert ended.told == {}
    assert "ended by the system" in ended.reason


@pytest.mark.parametrize(
    ("pattern", "how"),
    [(r"\s+", "found"), ("(a+)+$", "error"), ("a*a*$", "")],
)
def test_a_tokenizer_that_tries_again_and_again_is_found(pattern: str, how: str) -> None:
    pytest.importorskip("tokenizers")
    ended = process.run("confined_verbs", ["probe", pattern])
    assert list(ended.told) == ([how] if how else [])
    assert ended.status == (0 if how else probe.ENDED)


# Folders


def test_folders_of_killed_processes_are_swept_and_no_others() -> None:
    mine = HeldFolder()
    strange = Path(tempfile.mkdtemp(prefix="fluoroscope-"))
    command = [sys.executable, "-m", "confined_verbs", "leave"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        assert theirs.is_dir()
        assert sweep() == 0
        other.send_signal(signal.SIGKILL)
    assert sweep() == 1
    assert not theirs.exists()
    assert mine.path.is_dir()
    assert strange.is_dir()
    mine.close()
    mine.close()
    assert not mine.path.exists()
    with temporary() as folder:
        assert folder.is_dir()
    assert not folder.exists()


# One door


def test_a_hostile_folder_is_told_the_same_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from test_hostile_models import FOLDERS

    from core.models.catalogue import card
    from core.models.formats import door
    from tests.indoors import admit_here

    admit_here(monkeypatch)
    monkeypatch.chdir(tmp_path)
    place = Workspace(tmp_path / "place")
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(place.root))
    tried = 0
    for number, (file, make, said) in enumerate(FOLDERS.values()):
        home = tmp_path / str(number)
        home.mkdir()
        if (path := make(home / file)).is_file():
            continue
        told = []
        for way in (lambda path: door.add(path, place=place), lambda path: card(f"hf:{path}")):
            with pytest.raises(BadModel) as caught:
                way(path)
            told.append((caught.value.message, caught.value.next_step))
        assert told[0] == told[1]
        assert said in told[0][0]
        tried += 1
    assert tried > 5
    assert not Path("ran").exists()
    assert list(place.models.iterdir()) == list((place.root / "opened").iterdir()) == []
