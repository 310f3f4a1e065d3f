"""What commands share: exit codes, tables that align, JSON, errors on stderr."""

import gc
import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from runtime.cli import Exit, JsonFlag, application, fail, load_or_fail, print_json, table
from runtime.config import ConfigModel

app = application("A program for tests.")


class Settings(ConfigModel):
    data: str


@app.command()
def pools(as_json: JsonFlag = False) -> None:
    """List pools. Example: `program pools --json`."""
    if as_json:
        print_json({"pools": {"port": 7}, "name": "Zoë"})
    else:
        table(
            [["port", 7, True, None], ["ipva\x1b[1m", 1200, False, "[bold]x"]],
            ["pool", "free", "usable", "why"],
        )


@app.command()
def refuse() -> None:
    """Say no."""
    fail(Exit.REFUSED, "no_free_licence: No free licence\nhint: install more\x07")


@app.command()
def check_config(config: Annotated[Path, typer.Option()]) -> None:
    """Check the configuration."""
    typer.echo(load_or_fail(config, Settings).data)


run = CliRunner()


def test_exit_codes_are_the_contract() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "REFUSED": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "BAD_DATA": 4,
    }


def test_a_table_aligns_numbers_right_and_shows_cells_as_they_are() -> None:
    done = run.invoke(app, ["pools"])
    assert done.exit_code == 0
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "pool           free  usable  why",
        "port              7  yes",
        "ipva\\u001b[1m  1200  no      [bold]x",
    ]


def test_a_pipe_gets_whole_cells(capsys: pytest.CaptureFixture[str]) -> None:
    table([["x" * 500, 1]], ["name", "n"])
    assert "x" * 500 in capsys.readouterr().out


def test_json_is_json() -> None:
    done = run.invoke(app, ["pools", "--json"])
    assert json.loads(done.stdout) == {"pools": {"port": 7}, "name": "Zoë"}
    assert "Zoë" in done.stdout


def test_a_refusal_goes_to_stderr_with_its_code() -> None:
    done = run.invoke(app, ["refuse"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "no_free_licence: No free licence\nhint: install more\\u0007\n"


def test_a_bad_configuration_is_usage_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("data: NO\ndate: x\n")
    done = run.invoke(app, ["check-config", "--config", str(file)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f'{file}:1:7: data: expected text, found false (YAML reads NO so); write "NO"',
        f'{file}:2:1: date: unknown key; did you mean "data"?',
        "2 errors; nothing was started",
    ]
    file.write_text("data: x\n")
    assert run.invoke(app, ["check-config", "--config", str(file)]).stdout == "x\n"


@pytest.mark.parametrize("arguments", [["unknown"], ["pools", "--nothing"], ["check-config"]])
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    assert run.invoke(app, arguments).exit_code == 2


def test_help_and_completion_are_there() -> None:
    done = run.invoke(app, ["--help"])
    assert done.exit_code == 0
    assert "--install-completion" in done.stdout
    assert run.invoke(app, ["pools", "-h"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "pools List pools."),
        (["pools", "--json"], 0, "Zoë"),
        (["refuse"], 1, "no_free_licence"),
        (["pols"], 2, "Did you mean 'pools'?"),
    ],
)
def test_a_command_may_be_named_before_it_is_imported(words: list[str], code: int, said: str) -> None:
    here = __name__
    late = application("Late.", {"pools": f"{here}:pools", "refuse": f"{here}:refuse"})
    late.add_typer(app, name="own")
    done = run.invoke(late, words)
    assert (done.exit_code, said in " ".join((done.stdout + done.stderr).split())) == (code, True)
    assert gc.isenabled()
