"""What a person at the terminal sees beside the results: one line for an error, warnings, progress."""

from __future__ import annotations

import errno
import functools
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import ParamSpec, TypeVar

import typer

from imgorder.errors import EXIT_INPUT, MEMORY_CURE, NO_MEMORY, ImgorderError, ProblemsError, is_out_of_memory
from imgorder.files import exit_code
from imgorder.names import first_line, show

P = ParamSpec("P")
R = TypeVar("R")


def print_message(kind: str, message: str) -> None:
    """One line on stderr: ``imgorder: error: …`` or ``imgorder: warning: …``.

    Whatever was read from a file for it, nothing in the line can steer a terminal.
    """
    if sys.stderr is None:  # closed by the caller; printing would go to stdout instead
        return
    with suppress(OSError):  # stderr is full or gone: the exit code must be enough
        print(show(f"imgorder: {kind}: {message}"), file=sys.stderr)


def print_warning(message: str) -> None:
    """One line on stderr about something that does not stop the job."""
    print_message("warning", message)


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Decorator: an error that a user can act on becomes one line on stderr and an exit code, never a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ImgorderError as error:
            for message in error.problems if isinstance(error, ProblemsError) else (str(error),):
                print_message("error", message)
            raise typer.Exit(error.exit_code) from error
        except typer.Exit:  # it was said already, also where a signal is behind it
            raise
        except FileNotFoundError as error:
            if _has_current_folder():
                raise
            print_message("error", "the current folder is gone; change to one that is there")
            raise typer.Exit(EXIT_INPUT) from error
        except Exception as error:
            if _was_interrupted(error):
                raise KeyboardInterrupt from error
            line = f"{NO_MEMORY}; {MEMORY_CURE}" if is_out_of_memory(error) else _failed_import(error)
            if line is None:
                raise
            print_message("error", line)
            raise typer.Exit(EXIT_INPUT) from error

    return wrapped


# Libraries whose name on the package index, or for people, is another than that of their modules.
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "pillow_heif": "pillow-heif"}
_NAMES = {"PIL": "Pillow", "cv2": "OpenCV", "numpy": "NumPy", "onnxruntime": "ONNX Runtime", "torch": "PyTorch"}


def _failed_import(error: Exception) -> str | None:
    """One line, where the error arose while a library was imported; None for any other error."""
    importing = None
    trace = error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if package == "imgorder":
            importing = None
        elif importing is None and trace.tb_frame.f_code.co_name == "<module>" and package != "__main__":
            importing = package
        trace = trace.tb_next
    if importing is None and isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing != "imgorder":
            return f"{_NAMES.get(missing, missing)} is not installed; run: pip install {_distribution(missing)}"
    if importing is None or isinstance(error, MemoryError):
        return None
    while isinstance(error.__cause__, Exception):  # NumPy has its reason there, and a page of advice in front
        error = error.__cause__
    return (
        f"{_NAMES.get(importing, _distribution(importing))} is installed but does not start ({first_line(error)}); "
        f"install it again: pip install --force-reinstall {_distribution(importing)}"
    )


def _distribution(package: str) -> str:
    return _DISTRIBUTIONS.get(package, package.replace("_", "-"))


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether it comes of Ctrl-C: compiled modules turn one that hits them while they load into an ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def needs_training(command: Callable[P, R]) -> Callable[P, R]:
    """Decorator for commands that run only with the libraries of the extra ``train``."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ModuleNotFoundError as error:  # other errors are of libraries that are there
            if not error.name or error.name.startswith("imgorder"):
                raise
            raise ImgorderError(f"training needs {error.name}; run: pip install 'imgorder[train]'") from error

    return wrapped


def _has_current_folder() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


_STDERR = 2

# A full disk or quota, a limit on a file's size, an error of the disk, and a stream that was closed.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

# Of a disk or a drive on the network. What reads or writes a file mostly says it better; none ends in a traceback.
_DISK = (
    *_UNWRITABLE,
    errno.ESTALE,
    errno.ENXIO,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EROFS,
)


@contextmanager
def or_on_stderr(done: Iterable[str]) -> Iterator[None]:
    """Print what was done; if stdout fails, print the lines ``done`` on stderr."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        for line in done:
            print_message("done", line)
        raise


@contextmanager
def writable_output() -> Iterator[None]:
    """Run a command so that an error of its output ends in one line, not in a traceback."""
    if sys.stdout is None:
        print_message("error", "the output is closed; give it somewhere to go")
        raise SystemExit(EXIT_INPUT)
    if hasattr(signal, "SIGPIPE"):  # `imgorder … | head` ends as any other tool does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # for names that the encoding cannot show
    for library in ("PIL", "huggingface_hub"):  # our own errors say what matters, and name the file
        warnings.filterwarnings("ignore", module=library)
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # it logs some errors beside raising them
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="imgorder|numpy")  # of numbers in a photo
    for name in ("write", "flush"):
        setattr(sys.stdout, name, _of_output(getattr(sys.stdout, name)))
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        of_output = isinstance(error, _OutputError)
        if error.errno not in (_UNWRITABLE if of_output else _DISK):
            raise
        if of_output:
            print_message("error", f"the output could not be written ({error.strerror})")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would fail again at exit
        else:
            file = show(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else "a file"
            print_message(
                "error", f"{file}: cannot be read or written ({error.strerror}); check the disk that it is on"
            )
        raise SystemExit(EXIT_INPUT) from None
    finally:
        for name in ("write", "flush"):
            delattr(sys.stdout, name)


class _OutputError(OSError):
    """An error of stdout, which has the same number as one of a disk with photos may have."""


def _of_output(method: Callable[..., R]) -> Callable[..., R]:
    def marked(*arguments: object) -> R:
        try:
            return method(*arguments)
        except OSError as error:
            raise _OutputError(error.errno, error.strerror) from error

    return marked


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within this block, what libraries in C write to stderr by themselves, past Python, goes nowhere.

    libtiff names files that nobody has, and says such things of photos that are read well. Python's lines go on.
    """
    stream = sys.stderr
    try:
        if stream.fileno() != _STDERR:
            raise OSError
        own, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    except (AttributeError, OSError, ValueError):  # it is closed, or not the process's own
        yield
        return
    stream.flush()
    sys.stderr = open(own, "w", encoding=stream.encoding, errors=stream.errors, buffering=1)  # noqa: SIM115
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(own, _STDERR)
        with suppress(OSError):  # it is full
            sys.stderr.close()
        sys.stderr = stream


@contextmanager
def say_if_stopped(message: str) -> Iterator[None]:
    """Where Ctrl-C or a signal to end stops the block, say so on stderr and exit with its code.

    Of a stop that knows what was finished before it, that is said first.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        for line in (*getattr(stop, "finished", ()), message):
            print_message("stopped", line)
        raise typer.Exit(exit_code(getattr(stop, "by", stop))) from stop


T = TypeVar("T")


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass items on; on a terminal a bar shows how many."""
    with counting(what) as show:
        for done, item in enumerate(items, start=1):
            yield item
            if show:
                show(done, total)


@contextmanager
def counting(what: str, speed: str = "") -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows a bar when it is called with (done, total); None where there is no terminal.

    Args:
        what: is counted.
        speed: the unit of how many there are in a second, where that is to be shown.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    if speed:
        columns.insert(3, TextColumn(f"{{task.fields[speed]:.0f}} {speed}"))
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    began = perf_counter()
    task = bar.add_task(what, total=None, speed=0.0)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, speed=done / max(perf_counter() - began, 1e-3))
        if done == total:
            bar.stop()

    try:
        yield show
    finally:
        bar.stop()
