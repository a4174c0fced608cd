"""Runs a module of this machine in a fork of ansible's worker process.

The usual way writes a program with a zip file in it and starts a shell and an interpreter for it: that is most of what
a short task takes. Here the worker forks. The child leaves everything of the controller behind, takes the module's side
of ansible instead, and runs the module by the same function as the usual way does. What a module imports of that side
is imported before the workers are forked, once for all hosts and tasks.

No plugin: quick.py uses it. It knows internals of ansible-core; why_not() says when they may differ.
"""

from __future__ import annotations

import ast
import atexit
import gc
import importlib
import io
import json
import logging
import multiprocessing
import os
import selectors
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ansible import constants as C
from ansible.executor.module_common import _get_shebang
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.loader import module_loader, module_utils_loader
from ansible.release import __version__

#: Whose internals these are.
CORE = "2.19."
PROFILE = "legacy"
#: Of these an interpreter takes notice only when it starts.
_READ_AT_START = ("PYTHON", "LD_", "DYLD_")
#: How often to look whether the child is gone while something that it left behind holds its output open.
_EVERY = 0.2
#: For how long at most the end of workers that are about to end is awaited.
_ENDING = 0.1

#: The module's side of ansible; and in the child the controller's, out of the module's sight but not torn down, which
#: takes longer than all the rest.
_ready: dict[str, ModuleType] = {}
_left: dict[str, ModuleType] = {}


def why_not(action: Any, task_vars: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """Why the module of this action has to take the usual way; '' where it need not."""
    connection, task = action._connection, action._task
    if not __version__.startswith(CORE):
        return f"ansible-core is {__version__}, not {CORE}x"
    if connection.transport != "local":
        return f"the connection is {connection.transport}"
    if connection.become or task.async_val:
        return "become" if connection.become else "async"
    if C.DEFAULT_KEEP_REMOTE_FILES or any(_config(name, task_vars) for name in (
            "PYTHON_MODULE_RLIMIT_NOFILE", "_ANSIBALLZ_COVERAGE_CONFIG", "_ANSIBALLZ_DEBUGGER_CONFIG")):
        return "the configuration asks for what only the usual way has"
    if early := [name for name in environment if name.startswith(_READ_AT_START)]:
        return f"{', '.join(early)} in the task's environment"
    if task.delegate_to:
        task_vars = task_vars["ansible_delegated_vars"][task.delegate_to]
    interpreter = str(_get_shebang("/usr/bin/python", task_vars, action._templar)[1])
    return "" if _is_this(interpreter) else f"the interpreter is {interpreter}"


def payload(arguments: Mapping[str, Any]) -> bytes:
    """A module's arguments as the module reads them."""
    encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
    return json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()


def prepare(name: str) -> None:
    """Import what the module of this name imports of ansible's side for modules, in ansible's own process.

    Not beside a worker: what it sends is read by a thread, to which classes of the same names are not the same. Without
    it the child imports them, and tells what is wrong with them.
    """
    with suppress(Exception):
        found = module_loader.find_plugin_with_context(name, ".py")
        wanted = _imports(Path(found.plugin_resolved_path).read_text(encoding="utf-8"))
        if wanted and _no_worker_is_left():
            with _apart():
                for package, names in wanted:
                    imported = importlib.import_module(package)
                    for one in names:
                        if not hasattr(imported, one):
                            importlib.import_module(f"{package}.{one}")


def _imports(source: str) -> list[tuple[str, list[str]]]:
    """What a module's source imports of ansible's side for modules, and which names of each. It is not run for that:
    not every module is made to be imported."""
    return [(node.module, [one.name for one in node.names]) for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ansible.module_utils")]


def _no_worker_is_left() -> bool:
    until = time.monotonic() + _ENDING
    while multiprocessing.active_children():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


@contextmanager
def _apart() -> Iterator[None]:
    """Within the block what is imported of ansible is the module's side; before and after it is the controller's."""
    lists: tuple[list[Any], ...] = (sys.meta_path, sys.path_hooks, sys.path)
    before, cache = [list(one) for one in lists], dict(sys.path_importer_cache)
    try:
        _take_out(_left)
        sys.modules.update(_ready)
        _set_search(_search())
        yield
    finally:
        _take_out(_ready)
        sys.modules.update(_left)
        _left.clear()
        for one, content in zip(lists, before, strict=True):
            one[:] = content
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(cache)


class Fork:
    """The module at `path`, running with `arguments` (a payload); begins with the object.

    environment: added to the child's. No thread may run in this process when it is made.
    """

    def __init__(self, path: str, arguments: bytes, environment: Mapping[str, Any]) -> None:
        self._name = Path(path).stem
        self._outputs = (os.pipe(), os.pipe())
        search = _search()
        # Our own handlers must not run in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _be_the_module(path, arguments, environment, search, [write for _, write in self._outputs], before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for _, write in self._outputs:
            os.close(write)

    def result(self) -> dict[str, Any]:
        """Wait for the end; rc, stdout and stderr as of a command that ansible ran. Ends the child if interrupted."""
        ended = False
        texts: list[bytearray] = [bytearray(), bytearray()]
        try:
            with selectors.DefaultSelector() as selector:
                for (read, _), text in zip(self._outputs, texts, strict=True):
                    os.set_blocking(read, False)
                    selector.register(read, selectors.EVENT_READ, text)
                while selector.get_map() and not ended:
                    # What the module started and left behind may keep its output open for ever.
                    ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
                    for key, _ in selector.select(0 if ended else _EVERY):
                        if not _drain(key.fd, key.data):
                            selector.unregister(key.fd)
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except BaseException:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)
            raise
        finally:
            for read, _ in self._outputs:
                os.close(read)
        out, err = (text.decode("utf-8", "surrogateescape") for text in texts)
        if status < 0:
            out = self._killed(-status, out, err)
        return {"rc": status, "stdout": out, "stdout_lines": out.splitlines(),
                "stderr": err, "stderr_lines": err.splitlines()}

    def _killed(self, number: int, out: str, err: str) -> str:
        """What the module would have said of its end."""
        name = signal.Signals(number).name
        why = " The system does that when memory runs out." if number == signal.SIGKILL else ""
        return json.dumps({"failed": True, "rc": -number, "module_stdout": out, "module_stderr": err,
                           "msg": f"The module {self._name} was ended by {name} before it had a result.{why} "
                                  "What it began in AWS may go on; run this again."})


def _drain(fd: int, into: bytearray) -> bool:
    """Read all there is; False at the end."""
    while True:
        try:
            piece = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        if not piece:
            return False
        into += piece


def _config(name: str, task_vars: Mapping[str, Any]) -> Any:
    if not C.config.get_configuration_definition(name):
        return None
    return C.config.get_config_value(name, variables=task_vars)


def _is_this(interpreter: str) -> bool:
    """Whether that is the interpreter we run on, with the same packages: a virtual environment's is a link."""
    this, that = Path(sys.executable), Path(interpreter)
    return that.is_absolute() and that.parent == this.parent and that.resolve() == this.resolve()


# -- in the child ---------------------------------------------------------------------------------------------------

def _be_the_module(path: str, arguments: bytes, environment: Mapping[str, Any], search: list[str],
                   outputs: list[int], mask: set[int | signal.Signals]) -> NoReturn:
    """Never returns: whatever is above on the stack belongs to the worker."""
    code = 1
    try:
        _leave_the_worker(outputs)
        os.environ.update({name: str(value) for name, value in environment.items()})
        time.tzset()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = _run(path, arguments, search)
    except BaseException:  # noqa: BLE001
        with suppress(Exception):
            traceback.print_exc()
    finally:
        with suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        os._exit(code)


def _leave_the_worker(outputs: list[int]) -> None:
    """A process as if it were new: its own streams and handlers, nothing of the controller's open or imported."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd, of in ((0, nothing), (1, outputs[0]), (2, outputs[1])):
        os.dup2(of, fd)
    for fd in _open_files():
        if fd > 2 and fd != nothing:
            # Not closed: an object of the worker may close its number later, which must not be a file of ours then.
            with suppress(OSError):
                os.dup2(nothing, fd, inheritable=False)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (io.TextIOWrapper(open(fd, "wb", closefd=False), encoding="utf-8",  # noqa: SIM115
                                               errors="surrogateescape", write_through=fd == 2) for fd in (1, 2))
    atexit._clear()
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    tempfile.tempdir = None
    # What the worker made stays as it is: the collector need not look at it, nor the kernel copy it.
    gc.freeze()
    _take_out(_left)
    sys.modules.update(_ready)


def _take_out(into: dict[str, ModuleType]) -> None:
    """Move what is imported of ansible there, and forget how ansible imports."""
    into.update((name, sys.modules.pop(name)) for name in list(sys.modules) if _is_ansibles(name))
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ansibles(type(finder).__module__)]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if not _is_ansibles(getattr(hook, "__module__", ""))]
    for where, finder in list(sys.path_importer_cache.items()):
        if _is_ansibles(type(finder).__module__):
            del sys.path_importer_cache[where]
    sys.path[:] = [where for where in sys.path if where not in ("", ".")]


def _search() -> list[str]:
    return [found for found in module_utils_loader._get_paths(subdirs=False) if Path(found).is_dir()]


def _set_search(search: Sequence[str]) -> None:
    """As in the usual way, where a directory of the configuration goes before ansible's own."""
    import ansible.module_utils

    where = ansible.module_utils.__path__
    where[:0] = [one for one in search if one not in where]


def _is_ansibles(module: str) -> bool:
    return module.partition(".")[0] in ("ansible", "ansible_collections")


def _open_files() -> list[int]:
    with suppress(OSError):
        return [int(found.name) for found in Path("/dev/fd").iterdir()]
    return []


def _run(path: str, arguments: bytes, search: list[str]) -> int:
    """The module's exit code."""
    import ansible.modules

    _set_search(search)
    ansible.modules.__path__.insert(0, str(Path(path).parent))
    from ansible.module_utils._internal._ansiballz import _loader

    sys.argv = [path]
    try:
        _loader.run_module(json_params=arguments, profile=PROFILE, module_fqn=f"ansible.modules.{Path(path).stem}",
                           modlib_path=str(Path(ansible.__file__).parents[1]), extensions={})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
    return 1
