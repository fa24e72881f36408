"""How a run ends: whatever its work does becomes an exit code and at most one line, and never half a file."""

import os
import signal
import subprocess
import sys
import warnings

import pytest
import torch

from cli.signals import interruptible
from rgflow.cli.endings import ended
from rgflow.cli.output import output_path, write_state
from rgflow.cli.progress import progress_bar
from rgflow.errors import DataError, OutputError


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("the data\nare bad"), 2, "rgflow: the data are bad\n"),
        (KeyboardInterrupt(), 130, "rgflow: interrupted\n"),
        (ZeroDivisionError("by\nzero"), 2, "rgflow: unexpected ZeroDivisionError: by zero; run again with --debug"),
        (RuntimeError(), 2, "rgflow: unexpected RuntimeError; run again with --debug"),
    ],
)
def test_an_error_becomes_its_code_and_one_line(error, code, line, capsys):
    assert ended(raising(error), debug=False) == code
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_the_code_of_the_work_is_returned_and_nothing_printed(capsys):
    assert [ended(lambda code=code: code, debug=False) for code in (0, 1)] == [0, 1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("debug", [False, True])
def test_warnings_of_libraries_are_shown_only_with_debug(debug):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ended(lambda: warnings.warn("noise", stacklevel=1) or 0, debug=debug)
    assert len(caught) == int(debug)


INTERRUPTED = """
import sys, time
sys.path[:0] = {path!r}
from rgflow.cli.endings import ended
def work():
    print("ready", flush=True)
    time.sleep(60)
    return 0
sys.exit(ended(work, debug=False))
"""


def test_a_real_interrupt_ends_with_130_and_one_line():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(path=sys.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "rgflow: interrupted\n"
    assert process.returncode == 130


CHATTY = """
import sys
sys.path[:0] = {path!r}
from rgflow.cli.endings import ended
def work():
    for _ in range(100_000):
        print("a long line of a long table")
    return 0
sys.exit(ended(work, debug=False))
"""


def test_a_reader_that_leaves_ends_the_run_in_silence():
    process = subprocess.Popen(
        [sys.executable, "-c", CHATTY.format(path=sys.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 141


def test_a_state_dict_is_loaded_by_plain_pytorch(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    write_state(tmp_path / "m.pt", model.state_dict())
    found = torch.load(tmp_path / "m.pt", weights_only=True)
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    other.load_state_dict(found)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


class Unsavable:
    """Fails while it is being written, as a full disk or an interrupt would."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self):
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path, error):
    (tmp_path / "m.pt").write_text("old")
    with pytest.raises(type(error)):
        write_state(tmp_path / "m.pt", {"a": torch.ones(3), "b": Unsavable(error)})
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
    assert (tmp_path / "m.pt").read_text() == "old"


def test_a_folder_that_vanishes_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write_state(tmp_path / "gone" / "m.pt", {})


def test_a_link_is_followed_and_survives(tmp_path):
    (tmp_path / "real.pt").write_text("old")
    (tmp_path / "link.pt").symlink_to(tmp_path / "real.pt")
    target = output_path("--write", str(tmp_path / "link.pt"))
    assert target == (tmp_path / "real.pt").resolve()
    write_state(target, {"a": torch.ones(1)})
    assert (tmp_path / "link.pt").is_symlink()


def test_a_new_file_has_the_permissions_of_an_ordinary_one(tmp_path):
    before = os.umask(0o027)
    try:
        write_state(tmp_path / "m.pt", {})
    finally:
        os.umask(before)
    assert (tmp_path / "m.pt").stat().st_mode & 0o777 == 0o640


def test_a_refused_place_is_probed_without_a_trace(tmp_path):
    assert output_path("--html", str(tmp_path / "r.html")) == (tmp_path / "r.html").resolve()
    assert list(tmp_path.iterdir()) == []
    assert output_path("--html", None) is None


def test_progress_is_silent_off_a_terminal(capsys):
    with progress_bar(quiet=False) as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")


def test_progress_moves_a_bar_on_a_terminal_unless_quiet(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar(quiet=False) as progress:
        progress("drawing networks", 0.5)
    out, err = capsys.readouterr()
    assert "drawing networks" in err
    assert out == ""
    with progress_bar(quiet=True) as progress:
        assert progress is None
