"""Runs ``edgetpu_compiler`` on several models at once, each with a limit to its time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from segsolve.compiler.log import Report, read_report
from segsolve.compiler.package import CompiledModel, compiled_model
from segsolve.errors import CompilerError, ModelError
from segsolve_runtime.contract.files import home, is_file

NAME = "edgetpu_compiler"
DEFAULT_TIMEOUT_S = 600.0
_LOOKS_AGAIN_S = 0.1
_TRIES = 3  # "Internal compiler error" is known to come and go
_VERSION_WITH_TIMER = 16
_HINT = "install the vendor's package edgetpu-compiler (x86-64 Linux only), or name the program with --compiler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A compiled model in memory, what the compiler said of it, and what can be read of it.

    The report has what streams to the byte if the file can be read, otherwise to the two digits that were printed.
    """

    content: bytes
    report: Report
    code: CompiledModel | None = None


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """The vendor's compiler. `min_runtime_version` is the oldest libedgetpu that must run the result, if given."""

    path: Path
    version: str
    timeout_s: float = DEFAULT_TIMEOUT_S
    jobs: int = 1
    min_runtime_version: int | None = None
    cache: Path | None = None
    """Folder of what was compiled before, by content; none: nothing is kept."""
    compiled: list[str] = field(default_factory=list)
    """Names of the models for which the program ran."""
    _running: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def compile_all(self, models: Sequence[Path], done: Callable[[Path], None] = lambda path: None) -> list[Compiled]:
        """Return the compiled models, `jobs` of them at a time; `done` is called after each, in any order.

        Raises:
            CompilerError: one cannot be compiled, or not in time; all others are stopped.
        """

        def one(model: Path) -> Compiled:
            compiled = self._compile(model)
            done(model)
            return compiled

        with ThreadPoolExecutor(max_workers=max(1, min(self.jobs, len(models)))) as pool:
            futures = [pool.submit(one, model) for model in models]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                self._stop_all()
                while wait(futures, _LOOKS_AGAIN_S).not_done:
                    self._stop_all()  # one may just have been started
                raise

    def compile_together(self, models: Sequence[Path]) -> list[Compiled]:
        """Return models that are compiled in one go, for one device that holds all of them: the first caches first.

        Raises:
            CompilerError: one cannot be compiled, or not in time.
        """
        if len(models) == 1:
            return self.compile_all(models)
        self.compiled.extend(model.name for model in models)
        names = " + ".join(model.name for model in models)
        for attempt in range(1, _TRIES + 1):
            with tempfile.TemporaryDirectory(prefix="segsolve-compile-") as folder:
                printed = self._run([*self._options(), "-o", folder, *map(str, models)], models[0])
                outputs = [Path(folder) / f"{model.stem}_edgetpu.tflite" for model in models]
                blocks = _blocks(printed, len(models))
                if blocks is not None and all(output.is_file() for output in outputs):
                    logs = [output.with_suffix(".log") for output in outputs]
                    return [
                        _with_code(
                            output.read_bytes(),
                            read_report(block, log.read_text(errors="replace") if log.is_file() else ""),
                            model,
                        )
                        for model, output, log, block in zip(models, outputs, logs, blocks, strict=True)
                    ]
                report = read_report(printed)
                if not report.is_intermittent or attempt == _TRIES:
                    reason = report.failure or "it did not write and report all of them"
                    raise CompilerError(f"{self.path.name} cannot compile {names} together: {reason}")
        raise AssertionError("the last attempt returns or raises")

    def _compile(self, model: Path) -> Compiled:
        kept = None if self.cache is None else self.cache / self._key(model)
        if kept is not None and (found := _kept(kept)) is not None:
            return found
        printed, log, content = self._run_on(model)
        if kept is not None:
            _keep(kept, printed, log, content)
        return _with_code(content, read_report(printed, log), model)

    def _key(self, model: Path) -> str:
        """Return the name under which a result is kept: it follows from the content, the version and the options."""
        options = " ".join([self.version, str(self.min_runtime_version)])
        return hashlib.sha256(options.encode() + b"\0" + model.read_bytes()).hexdigest()

    def _run_on(self, model: Path) -> tuple[str, str, bytes]:
        """Return what the program printed, its log and its result."""
        self.compiled.append(model.name)
        for attempt in range(1, _TRIES + 1):
            with tempfile.TemporaryDirectory(prefix="segsolve-compile-") as folder:
                printed = self._run([*self._options(), "-o", folder, str(model)], model)
                log, output = Path(folder) / f"{model.stem}_edgetpu.log", Path(folder) / f"{model.stem}_edgetpu.tflite"
                logged = log.read_text(errors="replace") if log.is_file() else ""
                report = read_report(printed, logged)
                if report.failure is None and output.is_file():
                    return printed, logged, output.read_bytes()
                if not report.is_intermittent or attempt == _TRIES:
                    reason = report.failure or f"it wrote no {output.name}"
                    raise CompilerError(f"{self.path.name} cannot compile {model.name}: {reason}")
        raise AssertionError("the last attempt returns or raises")

    def _options(self) -> list[str]:
        options = ["-s"]
        major = self.version.partition(".")[0]
        if major.isdigit() and int(major) >= _VERSION_WITH_TIMER:
            options += ["-t", str(max(1, round(self.timeout_s)))]
        if self.min_runtime_version is not None:
            options += ["-m", str(self.min_runtime_version)]
        return options

    def _run(self, arguments: list[str], model: Path) -> str:
        try:
            # In a group of its own: the compiler forks, and its child would outlive it.
            process = subprocess.Popen(
                [str(self.path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise CompilerError(f"{self.path} does not run: {error.strerror}", _HINT) from None
        with self._lock:
            self._running.add(process.pid)
        try:
            return process.communicate(timeout=self.timeout_s)[0]
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()  # a process that has left the group may hold its other end
            hint = "give it more with --timeout"
            raise CompilerError(f"{model.name} was not compiled within {self.timeout_s:g} s", hint) from None
        finally:
            with self._lock:
                self._running.discard(process.pid)

    def _stop_all(self) -> None:
        with self._lock:
            for group in self._running:
                _kill(group)


def find_compiler(
    path: Path | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    jobs: int | None = None,
    min_runtime_version: int | None = None,
    cache: Path | None = None,
) -> Compiler:
    """Return the compiler at `path`, or the one that is installed.

    Raises:
        CompilerError: it is not there, or does not run.
    """
    named = path.absolute() if path and is_file(path) else path or NAME  # "./x" is no bare name
    found = shutil.which(str(named))
    if found is None:
        raise CompilerError(
            f"{path or NAME} is not installed" if path is None else f"there is no program {path}", _HINT
        )
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerError(f"{found} does not run: {getattr(error, 'strerror', None) or 'no answer'}", _HINT) from None
    version = read_report(done.stdout + done.stderr).version
    if version is None:
        raise CompilerError(f"{found} is not the vendor's compiler: it does not say its version", _HINT)
    return Compiler(
        path=Path(found),
        version=version,
        timeout_s=timeout_s,
        jobs=jobs or os.cpu_count() or 1,
        min_runtime_version=min_runtime_version,
        cache=cache,
    )


def cache_folder() -> Path:
    """Return the folder where compiled segments are kept: ``segsolve/compiled`` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home() / ".cache") / "segsolve" / "compiled"


def _blocks(printed: str, models: int) -> list[str] | None:
    """Return what was printed of each of several models, and what stands before; None if they are not all there."""
    head, *blocks = printed.split("Input model:")
    return [f"{head}Input model:{block}" for block in blocks] if len(blocks) == models else None


def _kept(path: Path) -> Compiled | None:
    """Return what is kept under a name; None if it is not there, or not whole."""
    try:
        content = path.with_suffix(".tflite").read_bytes()
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if document["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        return _with_code(content, read_report(document["printed"], document["log"]), path)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path, printed: str, log: str, content: bytes) -> None:
    """Keep a result; where that cannot be, it is compiled again the next time."""
    document = {"sha256": hashlib.sha256(content).hexdigest(), "printed": printed, "log": log}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, data in ((".tflite", content), (".json", json.dumps(document).encode())):
            partial = path.with_suffix(f"{suffix}.{os.getpid()}.{threading.get_ident()}")
            partial.write_bytes(data)
            partial.replace(path.with_suffix(suffix))


def _with_code(content: bytes, report: Report, path: Path) -> Compiled:
    try:
        code = compiled_model(content, path)
    except ModelError:
        code = None
    if code is not None:
        report = replace(report, offchip_bytes=code.streamed_bytes)
    return Compiled(content=content, report=report, code=code)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
