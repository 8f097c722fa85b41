"""The command line: what a person types, reads, and gets as an exit code."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from gateway import __version__, cli
from gateway.counters import Counters
from gateway.health import CommitTimes, Condition, Health
from gateway.simulator.play import PlayOptions
from gateway.station.records import VariableRecord
from gateway.store import Store, Write

ROOT = Path(__file__).parent.parent
CONFIG = 'stations: [{name: garage, csms: {url: "ws://c", password: hunter2}}]\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a configuration, and none of the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OCPP_GATEWAY_") or name == "HEALTH_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OCPP_GATEWAY_SECRETS_DIR", str(tmp_path / "secrets"))


@pytest.fixture
def runner() -> Iterator[CliRunner]:
    yield CliRunner()
    os.environ.pop(cli.DEBUG_VARIABLE, None)


def test_check_prints_what_is_in_force(runner: CliRunner, tmp_path: Path) -> None:
    """Exit code 0, the whole configuration, and no secret."""
    (tmp_path / "my.yaml").write_text(CONFIG)

    result = runner.invoke(cli.app, ["check", "my.yaml"])

    assert 0 == result.exit_code
    assert "security_profile: 1" in result.stdout
    assert "hunter2" not in result.output
    assert "The configuration can be used: 1 station." in result.stderr


def test_check_refuses_what_cannot_be_used(runner: CliRunner, tmp_path: Path) -> None:
    """Exit code 2 and a sentence for each mistake; nothing on stdout."""
    (tmp_path / "my.yaml").write_text(CONFIG.replace("name", "nam"))

    result = runner.invoke(cli.app, ["check", "my.yaml"])

    assert 2 == result.exit_code
    assert "" == result.stdout
    assert "stations[0].nam (line 1): is no key that is known here" in result.stderr


def test_check_says_where_there_is_no_store(runner: CliRunner, tmp_path: Path) -> None:
    """--store without a store is no error."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)

    result = runner.invoke(cli.app, ["check", "--quiet", "--store"])

    assert (0, "# There is no store at gateway.db yet.\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("place", ["gateway.yaml", "config/gateway.yaml"])
def test_the_configuration_is_found(runner: CliRunner, tmp_path: Path, place: str) -> None:
    """Without an argument, at the places that --help names."""
    (tmp_path / "config").mkdir()
    (tmp_path / place).write_text(CONFIG)

    assert 0 == runner.invoke(cli.app, ["check"]).exit_code


def test_a_named_configuration_wins_over_a_found_one(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument, then the variable, then the places."""
    (tmp_path / "gateway.yaml").write_text("broken: [")
    (tmp_path / "named.yaml").write_text(CONFIG)
    (tmp_path / "given.yaml").write_text(CONFIG.replace("garage", "yard"))
    monkeypatch.setenv(cli.CONFIG_VARIABLE, "named.yaml")

    assert "name: garage" in runner.invoke(cli.app, ["check"]).stdout
    assert "name: yard" in runner.invoke(cli.app, ["check", "given.yaml"]).stdout


def test_no_configuration_is_a_sentence(runner: CliRunner) -> None:
    """Exit code 2, and where one may be put."""
    result = runner.invoke(cli.app, ["run"])

    assert 2 == result.exit_code
    assert "No configuration was found." in result.stderr


def test_the_version_is_told(runner: CliRunner) -> None:
    """--version needs no command."""
    assert f"ocpp-gateway {__version__}\n" == runner.invoke(cli.app, ["--version"]).stdout


def test_the_contract_is_printed(runner: CliRunner) -> None:
    """`asyncapi` prints one JSON document."""
    result = runner.invoke(cli.app, ["asyncapi"])

    assert "3.0.0" == json.loads(result.stdout)["asyncapi"]


def test_an_unexpected_error_is_a_sentence() -> None:
    """Exit code 1 and no traceback; --debug shows it."""
    command = [sys.executable, "-m", "gateway"]
    wrong = ["simulate", "--url", "nowhere"]

    told = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False, cwd=ROOT)
    shown = subprocess.run(
        [*command, "--debug", *wrong], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert (1, "") == (told.returncode, told.stdout)
    assert "nowhere" in told.stderr
    assert "Traceback" not in told.stderr
    assert "Traceback" in shown.stderr


def test_only_what_a_command_needs_is_loaded() -> None:
    """`--help` and `--version` stay quick: no broker, no socket, no database, no OCPP library."""
    heavy = ("paho", "websockets", "ocpp", "sqlite3", "jsonschema_rs", "prometheus_client")
    code = f"import sys; import gateway.cli; print([name for name in {heavy} if name in sys.modules])"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert "[]\n" == result.stdout


def test_simulate_offers_every_option_of_the_play() -> None:
    """What can be played can be asked for."""
    offered = set(inspect.signature(cli.simulate).parameters)

    assert set() == set(PlayOptions.__struct_fields__) - offered - {"car"}
    assert {"battery_kwh", "soc_percent", "car_current_a", "car_phases"} <= offered


async def test_the_probe_tells_how_a_gateway_is(runner: CliRunner, tmp_path: Path) -> None:
    """Exit code 0 when it is well, 1 when not or when nobody answers."""
    condition = Condition(broker_connected=True, stations=1, sessions=1, queued=0)
    health = Health(Counters(), CommitTimes(), lambda: condition)
    port = health.start("127.0.0.1", 0)
    (tmp_path / "gateway.yaml").write_text(f"health: {{port: {port}, host: 0.0.0.0}}\n{CONFIG}")

    well = await asyncio.to_thread(runner.invoke, cli.app, ["health"])
    condition = Condition(broker_connected=False, stations=1, sessions=1, queued=0)
    ill = await asyncio.to_thread(
        runner.invoke, cli.app, ["health", "--url", f"http://127.0.0.1:{port}/health"]
    )
    await health.stop()
    gone = await asyncio.to_thread(runner.invoke, cli.app, ["health"])

    assert (0, "ok") == (well.exit_code, json.loads(well.stdout)["status"])
    assert (1, "error") == (ill.exit_code, json.loads(ill.stdout)["status"])
    assert 1 == gone.exit_code
    assert f"No gateway answers at http://127.0.0.1:{port}/health" in gone.stderr


def test_the_probe_needs_a_port(runner: CliRunner, tmp_path: Path) -> None:
    """A configuration without one cannot be asked."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)

    result = runner.invoke(cli.app, ["health"])

    assert (2, "The configuration opens no health port: set health.port.\n") == (
        result.exit_code,
        result.stderr,
    )


def test_acl_prints_the_rights_of_a_configuration(runner: CliRunner, tmp_path: Path) -> None:
    """Its stations, its prefix and its account at the broker; exit code 0."""
    (tmp_path / "my.yaml").write_text(CONFIG + "mqtt: {prefix: site, username: bridge}\n")

    result = runner.invoke(cli.app, ["acl", "my.yaml"])

    assert 0 == result.exit_code
    assert "user garage\ntopic write site/garage/+/status\n" in result.stdout
    assert "user bridge\ntopic read site/#\n" in result.stdout


def test_acl_needs_no_configuration_for_any_station(runner: CliRunner) -> None:
    """`--any-station`: the file that is shipped."""
    result = runner.invoke(cli.app, ["acl", "--any-station"])

    assert (0, (ROOT / "mosquitto" / "acl").read_text()) == (result.exit_code, result.stdout)


def kept_variables(directory: Path, **texts: str) -> None:
    """A store in which a CSMS has written these."""

    async def write() -> None:
        store = Store.open(directory / "gateway.db")
        writes = [
            Write("variable", name.replace("__", "."), msgspec.json.encode(VariableRecord(text)))
            for name, text in texts.items()
        ]
        store.submit("garage", writes, lambda error: None if error is None else pytest.fail(str(error)))
        await store.close()

    asyncio.run(write())


def test_forget_lets_the_configuration_hold_again(runner: CliRunner, tmp_path: Path) -> None:
    """One by its 1.6 key, then the rest."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    kept_variables(
        tmp_path,
        OCPPCommCtrlr__HeartbeatInterval="77",
        Ocpp16__SecurityProfile="1",
        TxCtrlr__EVConnectionTimeOut="99",
    )

    one = runner.invoke(cli.app, ["forget", "garage", "SecurityProfile"])
    left = runner.invoke(cli.app, ["check", "--quiet", "--store"])
    rest = runner.invoke(cli.app, ["forget", "Garage"])
    none = runner.invoke(cli.app, ["check", "--quiet", "--store"])

    assert (0, "garage: Ocpp16.SecurityProfile is as configured again.\n") == (one.exit_code, one.stdout)
    assert "SecurityProfile" not in left.stdout
    assert "HeartbeatInterval" in left.stdout
    assert rest.stdout.count("is as configured again") == 2
    assert none.stdout == "# The store has no variable that differs from the configuration.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["garage", "HeartbeatInterval"], "written are: TxCtrlr.EVConnectionTimeOut"),
        (["cellar"], "there is no station 'cellar'"),
    ],
)
def test_forget_names_what_is_not_there(
    runner: CliRunner, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    kept_variables(tmp_path, TxCtrlr__EVConnectionTimeOut="99")

    result = runner.invoke(cli.app, ["forget", *arguments])

    assert result.exit_code == 1
    assert words in result.stderr
