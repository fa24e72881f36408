"""The shared ending of the verbs: places judged before work, files complete or absent, text or JSON, never both."""

import io
import json
import sys

import pytest

from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.errors import OutputError


class Report:
    def table(self, width: int = 120) -> str:
        return f"± {width}\nsecond line\n"

    def to_json(self) -> str:
        return '{"a": 1}'

    def to_html(self, path: str) -> None:
        with open(path, "w") as file:
            file.write("<html>")


def test_every_file_that_is_wanted_is_written_and_no_other(tmp_path):
    files = report_files(html=str(tmp_path / "r.html"), json=str(tmp_path / "r.json"))
    assert list(tmp_path.iterdir()) == []
    write_report(Report(), files=files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json"]
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}
    write_report(Report(), files=ReportFiles())
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("pair", [("html", "json"), ("json", "weights"), ("html", "weights")])
def test_two_outputs_in_one_file_are_refused(pair, tmp_path):
    with pytest.raises(OutputError, match="two outputs would go to"):
        report_files(**dict.fromkeys(pair, str(tmp_path / "one")))


@pytest.mark.parametrize("option", ["html", "json", "weights"])
def test_a_folder_that_is_not_there_is_refused_by_the_name_of_the_option(option, tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        report_files(**{option: str(tmp_path / "no" / "file")})


def test_text_is_120_columns_wide_in_a_pipe_and_ends_with_the_closing_lines(capsys):
    print_report(Report(), json=None, quiet=False, closing=["", "last"])
    assert capsys.readouterr().out == "± 120\nsecond line\n\nlast\n"


def test_text_is_as_wide_as_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "77")
    print_report(Report(), json=None, quiet=False)
    assert capsys.readouterr().out.startswith("± 77\n")


def test_a_narrow_encoding_gets_plain_signs(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    print_report(Report(), json=None, quiet=False)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"+- 120")


@pytest.mark.parametrize("quiet", [True, False])
def test_json_on_standard_output_stands_there_alone(quiet, capsys):
    with standard_output_kept("-"):
        print("the model talks")
    print_report(Report(), json="-", quiet=quiet, closing=["last"])
    out, err = capsys.readouterr()
    assert out == '{"a": 1}\n'
    assert err == "the model talks\n"


def test_standard_output_is_left_alone_otherwise(capsys):
    with standard_output_kept("file.json"):
        print("the model talks")
    assert capsys.readouterr().out == "the model talks\n"


def test_quiet_prints_nothing(capsys):
    print_report(Report(), json=None, quiet=True, closing=["last"])
    assert capsys.readouterr().out == ""
