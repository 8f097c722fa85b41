"""Settings: what an operator may write, what it means, and what is said about mistakes."""

import json
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import Problem, Settings, SettingsError, effective, load
from gateway.settings.reference import with_tables
from gateway.settings.written import differences
from gateway.station.model import ConnectorConfig, IdToken, Policy, StationConfig, TxPoint
from gateway.station.records import VariableRecord
from gateway.station.variables import Variables
from gateway.store import Store, Write

ROOT = Path(__file__).parent.parent
Load = Callable[..., Settings]
NOWHERE = {"OCPP_GATEWAY_SECRETS_DIR": "/nonexistent"}

MINIMAL = """
    defaults:
      csms: wss://csms.example/ocpp
    stations:
      - name: garage
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Load a configuration from text."""

    def load_text(text: str, environ: Mapping[str, str] = NOWHERE) -> Settings:
        file = tmp_path / "gateway.yaml"
        file.write_text(textwrap.dedent(text))
        return load(file, NOWHERE | dict(environ))

    return load_text


@pytest.fixture
def refused(loaded: Load) -> Callable[..., list[str]]:
    """Load a configuration that cannot be used: the problems as an operator reads them."""

    def problems(text: str, environ: Mapping[str, str] = NOWHERE) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            loaded(text, environ)
        return [str(problem) for problem in caught.value.problems]

    return problems


def only_station(settings: Settings) -> StationConfig:
    (config,) = settings.station_configs()
    return config


# ------------------------------------------------------------------ what it means


def test_the_smallest_configuration_is_one_station_with_one_connector(loaded: Load) -> None:
    """A name and a CSMS are enough; everything else has the core's own default."""
    config = only_station(loaded(MINIMAL))

    expected = StationConfig(
        name="garage",
        identity="garage",
        csms_url="wss://csms.example/ocpp",
        connectors=(ConnectorConfig(n=1, evse=1, connector=1),),
    )
    assert expected == config


def test_every_field_of_the_core_can_be_set(loaded: Load) -> None:
    """Nothing that the core can be told is out of an operator's reach."""
    config = only_station(
        loaded("""
        gateway: {heartbeat_interval_s: 10, valid_s: 60}
        stations:
          garage:
            identity: DE*ABC*E1
            csms: {url: wss://csms.example/ocpp, versions: [1.6], password: 0123456789abcdef}
            vendor: ACME
            model: X1
            serial: 0815
            firmware_version: "1.10"
            iccid: 89490200001234567890
            imsi: 262011234567890
            time_zone: Europe/Berlin
            mode: report_only
            connectors:
              - {type: stype2, max_current_a: 16, min_current_a: 8, phases: 1, voltage_v: 240,
                 limiting: on_off, plug_sensor: no, lock: yes, safe_limit_a: 10, energy: session}
            policy:
              start_points: [EVConnected, Authorized]
              stop_points: authorized
              free_charging: {token: FREE, type: Local}
              authorizer: local
              authorizer_timeout_s: 2
              local_tokens: [04A2, "0499"]
              reported_token: {token: FLEET, type: Local}
              idle_end_s: 700
              vanished: unavailable
              offline_grace_s: 1
              vanished_transaction_s: 2
              after_restart: stop
              after_tx_profile: nothing
              certificate_key: rsa
              boot_on_reconnect: yes
              signed_firmware_only: yes
              firmware_timeout_s: 100
              card_debounce_s: 3
              gesture_max_age_s: 4
              gesture_memory_s: 500
              begin_timeout_s: 6
              end_timeout_s: 7
              register_max_age_s: 8
              command_timeout_s: 9
              meter_state_interval_s: 7
              clear_token_in_state: true
              max_queued: 1100
              vendors: {com.example: [Hello, Bye], org.example: []}
              allow_requests: [link]
            variables: {HeartbeatInterval: 12}
        """)
    )

    expected = StationConfig(
        name="garage",
        identity="DE*ABC*E1",
        csms_url="wss://csms.example/ocpp",
        versions=("ocpp1.6",),
        vendor="ACME",
        model="X1",
        serial="0815",
        firmware_version="1.10",
        iccid="89490200001234567890",
        imsi="262011234567890",
        security_profile=2,
        configured=frozenset({"password"}),
        time_zone="Europe/Berlin",
        report_only=True,
        connectors=(
            ConnectorConfig(
                n=1, evse=1, connector=1, type="sType2", max_current_a=16, min_current_a=8, phases=1,
                voltage_v=240, limiting="on_off", plug_sensor=False, lock=True, fixed_cable=False,
                safe_limit_a=10, energy="session",
            ),
        ),
        policy=Policy(
            start_points=frozenset({TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED}),
            stop_points=frozenset({TxPoint.AUTHORIZED}),
            free_charging_token=IdToken("FREE", "Local"),
            authorizer="local",
            authorizer_timeout_s=2,
            local_tokens=frozenset({"04A2", "0499"}),
            reported_token=IdToken("FLEET", "Local"),
            idle_end_s=700,
            vanished="unavailable",
            offline_grace_s=1,
            vanished_transaction_s=2,
            after_restart="stop",
            after_tx_profile="nothing",
            certificate_key="rsa",
            boot_on_reconnect=True,
            signed_firmware_only=True,
            firmware_timeout_s=100,
            card_debounce_s=3,
            gesture_max_age_s=4,
            gesture_memory_s=500,
            begin_timeout_s=6,
            end_timeout_s=7,
            register_max_age_s=8,
            command_timeout_s=9,
            setpoint_valid_s=60,
            meter_state_interval_s=7,
            clear_token_in_state=True,
            max_queued=1100,
            vendors=(("com.example", frozenset({"Hello", "Bye"})), ("org.example", frozenset())),
            allow_requests=frozenset({"link"}),
        ),
        variables={"OCPPCommCtrlr.HeartbeatInterval": "12"},
    )  # fmt: skip
    assert expected == config
    for default, told in (
        (StationConfig(name="", identity="", csms_url=""), config),
        (Policy(), config.policy),
    ):
        same = [f for f in told.__struct_fields__ if getattr(default, f) == getattr(told, f)]
        assert [] == same


def test_connectors_are_numbered_over_the_station_and_within_their_evse(loaded: Load) -> None:
    """On MQTT and in 1.6 a connector has one number, in 2.x two."""
    config = only_station(
        loaded("""
        stations:
          - name: plaza
            csms: ws://csms/ocpp
            connector: {max_current_a: 20}
            evses:
              - connectors: 2
              - {id: 2, connectors: [{type: sType2, max_current_a: 63}]}
              -
        """)
    )

    assert [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1)] == [
        (c.n, c.evse, c.connector) for c in config.connectors
    ]
    assert [20, 20, 63, 20] == [c.max_current_a for c in config.connectors]
    assert [True, True, False, True] == [c.fixed_cable for c in config.connectors]


def test_a_station_says_otherwise_than_the_defaults(loaded: Load) -> None:
    """Sections are merged key by key, lists are taken whole; a variable is one in all its spellings."""
    garage, yard = loaded("""
        csms:
          main: {url: wss://csms.example/ocpp, versions: [2.0.1, 1.6]}
        defaults:
          csms: {endpoint: main, versions: [1.6]}
          connectors: 3
          policy: {offline_grace_s: 5, vanished: unavailable}
          variables: {HeartbeatInterval: 60, ConnectionTimeOut: 30}
        stations:
          - name: garage
          - name: yard
            csms: {versions: "2.0.1"}
            evses: [{connectors: 2}]
            policy: {offline_grace_s: 7}
            variables: {ocppcommctrlr.heartbeatinterval: 90}
    """).station_configs()

    assert ("wss://csms.example/ocpp", ("ocpp1.6",)) == (garage.csms_url, garage.versions)
    assert ("wss://csms.example/ocpp", ("ocpp2.0.1",)) == (yard.csms_url, yard.versions)
    assert (3, 2) == (len(garage.connectors), len(yard.connectors))
    assert (7, "unavailable") == (yard.policy.offline_grace_s, yard.policy.vanished)
    expected = {"OCPPCommCtrlr.HeartbeatInterval": "90", "TxCtrlr.EVConnectionTimeOut": "30"}
    assert expected == yard.variables


def test_a_pattern_is_written_out(loaded: Load) -> None:
    """`count` makes many stations of one entry."""
    configs = loaded("""
        defaults: {csms: "wss://csms.example/{id}"}
        stations:
          - {name: "bay-{n}", identity: "DEPOT-{n:03}", count: 3}
    """).station_configs()

    assert [("bay-1", "DEPOT-001"), ("bay-2", "DEPOT-002"), ("bay-3", "DEPOT-003")] == [
        (config.name, config.identity) for config in configs
    ]
    assert {"wss://csms.example/{id}"} == {config.csms_url for config in configs}


@pytest.mark.parametrize(
    ("written", "version"),
    [("1.6", "ocpp1.6"), ('"1.6"', "ocpp1.6"), ("ocpp1.6", "ocpp1.6"), ("1.6J", "ocpp1.6"),
     ("2.0.1", "ocpp2.0.1"), ("OCPP 2.0.1", "ocpp2.0.1"), ("[2.0.1]", "ocpp2.0.1")],
)  # fmt: skip
def test_a_version_is_understood_as_people_write_it(loaded: Load, written: str, version: str) -> None:
    """YAML takes 1.6 for a number; a person does not."""
    settings = loaded(f"stations: [{{name: a, csms: {{url: 'ws://c', versions: {written}}}}}]")

    assert (version,) == only_station(settings).versions


@pytest.mark.parametrize(
    ("csms", "profile", "password"),
    [
        ("{url: ws://c}", 0, None),
        ("{url: wss://c}", 0, None),
        ("{url: ws://c, password: abc}", 1, b"abc"),
        ("{url: wss://c, password: abc}", 2, b"abc"),
        ("{url: wss://c, password: 00112233445566778899aabbccddeeff}",
         2, b"00112233445566778899aabbccddeeff"),
        ("{url: wss://c, versions: 1.6, password: 00112233445566778899AAbbccddeeff}", 2,
         bytes.fromhex("00112233445566778899aabbccddeeff")),
        ("{url: wss://c, versions: 1.6, password: 0123456789abcdef}", 2, b"0123456789abcdef"),
        ("{url: wss://c, versions: 1.6, password_encoding: text, password: 00112233445566778899aabbccddeeff}",
         2, b"00112233445566778899aabbccddeeff"),
        ("{url: wss://c, password_encoding: hex, password: 00ff}", 2, b"\x00\xff"),
        ("{url: wss://c, password: 12345678901234567890}", 2, b"12345678901234567890"),
        ("{url: wss://c, password: 0012}", 2, b"0012"),
    ],
)  # fmt: skip
def test_security_follows_from_what_is_given(
    loaded: Load, csms: str, profile: int, password: bytes | None
) -> None:
    """A password over ws is profile 1, over wss 2; under 1.6 alone 32 to 40 hex digits are bytes."""
    link = loaded(f"stations: [{{name: a, csms: {csms}}}]").link_config("a")

    assert (profile, password) == (link.security_profile, link.password)


def test_the_link_keeps_the_configured_times(loaded: Load) -> None:
    """What a CSMS could change by a variable starts from the operator's own value of it."""
    link = loaded(
        MINIMAL + "        variables: {WebSocketPingInterval: 17, OCPPCommCtrlr.RetryBackOffWaitMinimum: 3}"
    ).link_config("garage")

    assert (17, 3) == (link.ping_interval_s, link.wait_minimum_s)


def test_the_broker_is_reached_as_configured(loaded: Load) -> None:
    """The MQTT client gets what the operator wrote, and the topics below the prefix."""
    settings = loaded("""
        mqtt: {url: "wss://broker/mqtt", username: u, password: 0042, client_id: me, protocol: 3.1.1,
               prefix: site/ev, keepalive_s: 60, reply_prefixes: nodered}
        defaults: {csms: "ws://c"}
        stations: [{name: a}]
    """)

    config = settings.mqtt_config("i1")
    assert ("wss://broker/mqtt", "u", "0042") == (config.url, config.username, config.password)
    assert ("me", "3.1.1", 60) == (config.client_id, config.protocol, config.keepalive_s)
    assert settings.topics().marker("i1") == config.marker_topic
    others = [one.filter for one in config.subscriptions if not one.filter.startswith("site/ev/")]
    assert ["homeassistant/status"] == others
    assert settings.topics().may_reply_to("nodered/x")


def test_a_fleet_is_not_announced_to_home_assistant_unless_asked(loaded: Load) -> None:
    """It would be megabytes at the broker; an operator who wants that says so."""
    text = """
        defaults: {{csms: "ws://c"}}
        stations: [{{name: "a{{n}}", count: {count}}}]
        home_assistant: {{discovery: {form}}}
    """
    forms = [
        loaded(text.format(count=count, form=form)).home_assistant.form(count)
        for count, form in ((100, "auto"), (101, "auto"), (101, "device"), (1, "off"))
    ]

    assert ["device", None, "device", None] == forms


@pytest.mark.parametrize(
    "file", ["config/gateway.yaml", "config/devices.yaml", "config/demo.yaml", "gateway/demo/demo.yaml"]
)
def test_the_shipped_configurations_can_be_used(file: str) -> None:
    """What a stranger starts from works as it is."""
    assert load(ROOT / file, NOWHERE).station_configs()


def test_each_commented_block_of_the_shipped_configuration_is_right(tmp_path: Path) -> None:
    """What an operator uncomments is understood, apart from files that only he has."""
    text = (ROOT / "config" / "gateway.yaml").read_text()
    _, _, optional = text.partition("# --- Everything below")
    blocks = []
    for line in optional.splitlines()[1:]:
        bare = line.removeprefix("# ") if line.startswith("# ") else ""
        if bare[:1].isalpha() and bare.rstrip().endswith(":") and " " not in bare.rstrip():
            blocks.append([bare])
        elif blocks and bare.startswith(" "):
            blocks[-1].append(bare)
    assert 7 == len(blocks)
    for name in ("broker-ca.pem", "gateway.pem", "gateway.key", "csms-ca.pem", "yard.password"):
        (tmp_path / name).write_text("x")
    merged: dict[str, str] = {}
    for block in blocks:
        merged[block[0]] = "\n".join(block)
    file = tmp_path / "gateway.yaml"
    file.write_text("\n".join(merged.values()).replace("#", " #"))

    names = [
        config.name
        for config in load(file, NOWHERE | {"OCPP_GATEWAY_DEFAULTS__CSMS__URL": "ws://c"}).station_configs()
    ]

    assert ["yard", "plaza", *(f"bay-{n}" for n in range(1, 41))] == names


def test_thousands_of_stations_load_in_seconds(loaded: Load) -> None:
    """2000 stations, each with a section of its own, within ten seconds."""
    entries = "\n".join(
        f"  - {{name: s{n}, csms: {{url: 'wss://c/ocpp', versions: 1.6, password: 'secret-of-{n:06}'}}, "
        f"connectors: [{{max_current_a: 16}}, {{}}], variables: {{HeartbeatInterval: {60 + n % 9}}}}}"
        for n in range(2000)
    )

    began = time.perf_counter()
    settings = loaded(f"stations:\n{entries}")
    links = [settings.link_config(config.name) for config in settings.station_configs()]

    assert 2000 == len(links)
    assert time.perf_counter() - began < 10


# ------------------------------------------------------------------ sources


def test_the_environment_wins_over_the_file(loaded: Load) -> None:
    """Any key can be given by the environment; stations are addressed by name, in any case."""
    settings = loaded(
        MINIMAL,
        {
            "OCPP_GATEWAY_MQTT__URL": "mqtts://other:8883",
            "OCPP_GATEWAY_MQTT__USERNAME": "",
            "OCPP_GATEWAY_LOG__LEVEL": "Debug",
            "OCPP_GATEWAY_HEALTH__PORT": "9090",
            "OCPP_GATEWAY_DEFAULTS__CSMS__VERSIONS": "1.6",
            "OCPP_GATEWAY_DEFAULTS__CONNECTORS": "2",
            "OCPP_GATEWAY_DEFAULTS__POLICY__START_POINTS": '["EVConnected","Authorized"]',
            "OCPP_GATEWAY_STATIONS__GARAGE__VENDOR": "ACME",
            "OCPP_GATEWAY_STATIONS__0__MODEL": "X",
            "OCPP_GATEWAY_STATIONS__GARAGE__VARIABLES__HeartbeatInterval": "77",
            "OCPP_GATEWAY_CONFIG": "elsewhere",
            "UNRELATED": "1",
        },
    )
    config = only_station(settings)

    assert "mqtts://other:8883" == settings.mqtt.url
    assert ("debug", 9090) == (settings.log.level, settings.health.port)
    assert (("ocpp1.6",), 2) == (config.versions, len(config.connectors))
    assert frozenset({TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED}) == config.policy.start_points
    assert ("ACME", "X") == (config.vendor, config.model)
    assert {"OCPPCommCtrlr.HeartbeatInterval": "77"} == config.variables


def test_a_secret_is_taken_from_the_first_place_that_has_it(loaded: Load, tmp_path: Path) -> None:
    """The environment wins over the directory of secrets, that over the file."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "mqtt_password").write_text("from a secret\n")
    (secrets / "stations_garage_csms_password").write_text("garage's\r\n")
    (secrets / "csms_main_password").write_text("main's")
    (secrets / "unrelated").write_text("x")
    (tmp_path / "yard.password").write_text("yard's\n")
    text = """
        mqtt: {username: u, password: from the file}
        csms: {main: {url: "wss://c"}}
        stations:
          - {name: garage, csms: {endpoint: main, password: from the file}}
          - {name: yard, csms: {endpoint: main, password_file: yard.password}}
          - {name: hall, csms: main}
          - {name: shed, csms: main}
    """
    environ = {
        "OCPP_GATEWAY_SECRETS_DIR": str(secrets),
        "OCPP_GATEWAY_STATIONS__SHED__CSMS__PASSWORD": "shed's",
    }

    settings = loaded(text, environ)

    assert "from a secret" == settings.mqtt.secret()
    assert [b"garage's", b"yard's", b"main's", b"shed's"] == [
        settings.link_config(name).password for name in ("garage", "yard", "hall", "shed")
    ]


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mqtt: {passwort: x}",
         'mqtt.passwort (line 1): is no key that is known here; did you mean "password"'),
        ("mqqt: {}", 'mqqt (line 1): is no key that is known here; did you mean "mqtt"?'),
        ("mqtt: {url: 'http://b'}", 'mqtt.url (line 1): "http://b" is no broker URL; it begins with mqtt://'),
        ("mqtt: {url: 'mqtt://b/x'}", 'mqtt.url (line 1): "mqtt://b/x" has a path'),
        ("mqtt: {url: 'mqtt://b:99999'}", 'mqtt.url (line 1): "mqtt://b:99999" has no valid port'),
        ("mqtt: {url: 'mqtt://'}", 'mqtt.url (line 1): "mqtt://" names no host'),
        ("mqtt: {prefix: a/+/b}", 'mqtt.prefix (line 1): "a/+/b" cannot begin topics; allowed: up to 16 of'),
        ("mqtt: {protocol: 4.2}", "mqtt.protocol (line 1): 4.2 is not allowed; allowed: auto, 5, 3.1.1"),
        ("mqtt: {keepalive_s: 1}", "mqtt.keepalive_s (line 1): 1 is too low; the least is 5"),
        ("mqtt: {password: hunter2}", "mqtt.username (line 1): is missing beside the password"),
        ("mqtt: {ca_file: no.pem}", 'no.pem" cannot be read: No such file or directory'),
        ("mqtt: 5", "mqtt (line 1): 5 must be a mapping of keys and values"),
        ("log:\n  level: loud",
         'log.level (line 2): "loud" is not allowed; allowed: debug, info, warning, error'),
        ("log: {level: worning}", 'did you mean "warning"?'),
        ("health: {port: 0}", "health.port (line 1): 0 is too low; the least is 1"),
        ("health: {port: http}", 'health.port (line 1): "http" is no whole number'),
        ("gateway: {valid_s: 30}", "gateway.valid_s (line 1): 30 is below 60, twice heartbeat_interval_s"),
        ("defaults: {model: 1.10}",
         'defaults.model (line 1): 1.1 is no text; write it in quotes, as in "1.10"'),
        ("defaults: {time_zone: Europe/Berln}", 'did you mean "Europe/Berlin"'),
        ("defaults: {policy: {stop_points: [DataSigned]}}",
         "defaults.policy.stop_points (line 1): has DataSigned"),
        ("defaults: {policy: {start_points: []}}", "defaults.policy.start_points (line 1): is empty"),
        ("defaults: {policy: {allow_requests: [startt]}}", 'did you mean "start"?'),
        ("defaults: {connector: {max_current: 16}}",
         "defaults.connector.max_current (line 1): is no key that is known"),
        ("defaults: {connectors: [{phases: 4}]}",
         "defaults.connectors[0].phases (line 1): 4 is not allowed; allowed: 1, 2, 3"),
        ("defaults: {connectors: 0}",
         "defaults.connectors (line 1): 0 is not a number of connectors; allowed: 1 to 999"),
        ("defaults: {connector: {min_current_a: 40}}", "40 is above max_current_a (32)"),
        ("defaults: {connector: {safe_limit_a: 3}}", "3 is below min_current_a (6); 0 means off"),
        ("defaults: {evses: [{id: 2}]}", "defaults.evses[0].id (line 1): 2 is not 1; EVSEs are numbered"),
        ("defaults: {evses: [{}], connectors: 1}", "defaults.connectors (line 1): stands beside evses"),
        ("defaults: {csms: mian}\ncsms: {main: {url: 'ws://c'}}",
         'defaults.csms.endpoint (line 1): "mian" is no entry of the top-level csms; did you mean "main"?'),
        ("csms: {main: {url: 'https://c'}}",
         'csms.main.url (line 1): "https://c" is no CSMS URL; it begins with ws://'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_place_value_and_way_out(
    refused: Callable[..., list[str]], text: str, problem: str
) -> None:
    """Each sentence names the path, the line, the value and what is allowed."""
    problems = refused(f"{text}\nstations: [{{name: a, csms: 'ws://c'}}]")

    assert any(problem in told for told in problems), problems


@pytest.mark.parametrize(
    ("station", "problem"),
    [
        ("{}", "stations[0].name (line 1): is missing"),
        ("{name: bridge, csms: 'ws://c'}",
         'stations[0].name (line 1): "bridge" is reserved for the gateway itself'),
        ("{name: 'a/b', csms: 'ws://c'}",
         'stations[0].name (line 1): "a/b" is no name for topics; allowed: 1 to 48'),
        ("{name: a}", "stations[0].csms.url (line 1): is missing: the URL of the CSMS"),
        ("5", "stations[0] (line 1): 5 must be a mapping of keys and values"),
        ("{name: a, csms: 'ws://u:p@c'}",
         'csms.url (line 1): "ws://***@c" has a user name or password in it'),
        ("{name: a, csms: {url: 'ws://c', versions: [1.5]}}",
         "csms.versions[0] (line 1): 1.5 is no version that the gateway speaks; allowed: 2.0.1, 1.6"),
        ("{name: a, csms: {url: 'ws://c', versions: []}}", "csms.versions (line 1): is empty"),
        ("{name: a, csms: {url: 'ws://c', security_profile: 2, password: p}}",
         'csms.url (line 1): "ws://c" begins with ws://, but security profile 2 needs wss:// (TLS)'),
        ("{name: a, csms: {url: 'wss://c', security_profile: 2}}", "csms.password (line 1): is missing"),
        ("{name: a, csms: {url: 'wss://c', security_profile: 3}}",
         "csms.client_cert_file (line 1): is missing"),
        ("{name: a, csms: {url: 'ws://c', security_profile: 0, password: p}}", "which sends no password"),
        ("{name: a, csms: {url: 'ws://c', security_profile: 4}}", "4 is not allowed; allowed: 0, 1, 2, 3"),
        ("{name: a, csms: {url: 'wss://c', password: xyz, password_encoding: hex}}",
         "is not an even number of hex digits"),
        ("{name: a, csms: {url: 'wss://c', versions: 1.6, assume_subprotocol: 2.0.1}}",
         "is not among versions"),
        ("{name: a, identity: 'a b', csms: 'ws://c'}", '.identity (line 1): "a b" has characters that 2.0.1'),
        ("{name: a, identity: 'a:b', csms: {url: 'ws://c', versions: 1.6, password: p}}",
         '"a:b" has a colon'),
        ("{name: a, csms: 'ws://c', count: 2}", "stations[0].name (line 1): needs {n} in it"),
        ("{name: 'a{n}', csms: 'ws://c', count: 0}",
         "stations[0].count (line 1): must be a whole number from 1"),
        ("{name: a, csms: 'ws://c', variables: {HeartbeetInterval: 5}}",
         "variables.HeartbeetInterval (line 1): is no configuration key of 1.6 and no Component.Variable;"),
        ("{name: a, csms: 'ws://c', variables: {HeartbeatInterval: often}}", "'often' is no such value"),
        ("{name: a, csms: 'ws://c', variables: {OCPPCommCtrlr.HeartbeatInterval: 0}}",
         "[OCPPCommCtrlr.HeartbeatInterval] (line 1): OCPPCommCtrlr.HeartbeatInterval: '0' is below 1 s"),
        ("{name: a, csms: 'ws://c', variables: {NumberOfConnectors: 7}}", "follows from other settings"),
        ("{name: a, csms: 'ws://c', variables: {HeartbeatInterval: 5, OCPPCommCtrlr.HeartbeatInterval: 6}}",
         "is the same as HeartbeatInterval; give one of them"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_station_is_told(
    refused: Callable[..., list[str]], station: str, problem: str
) -> None:
    """What makes a station impossible is found before anything is connected."""
    problems = refused(f"stations: [{station}]")

    assert any(problem in told for told in problems), problems


def test_a_lenient_identity_is_fine_where_only_16_is_spoken(loaded: Load) -> None:
    """1.6 sets no alphabet; a colon matters only beside a password."""
    settings = loaded("stations: [{name: a, identity: 'RDAM:1|2 3', csms: {url: 'ws://c', versions: 1.6}}]")

    assert "RDAM:1|2 3" == settings.link_config("a").identity


def test_all_mistakes_are_told_at_once_each_once(refused: Callable[..., list[str]]) -> None:
    """A mistake in `defaults` is one, however many stations take it over; the order is that of the file."""
    problems = refused("""\
        mqtt:
          url: nowhere
        defaults:
          vendor: [x]
          csms: {url: "ws://c", versions: [9]}
        stations:
          - name: a
          - name: A
          - {name: b, model: 1.5}
          - {name: c, identity: c, connectors: [{}, {phases: 7}]}
    """)

    assert [
        "mqtt.url (line 2)",
        "defaults.vendor (line 4)",
        "defaults.csms.versions[0] (line 5)",
        "stations[1].name (line 8)",
        "stations[2].model (line 9)",
        "stations[3].connectors[1].phases (line 10)",
    ] == [problem.partition(":")[0] for problem in problems]


def test_an_identity_has_one_socket(refused: Callable[..., list[str]]) -> None:
    """Two stations with one identity at one CSMS would throw each other out for ever."""
    problems = refused("""\
        defaults: {csms: "ws://c"}
        stations:
          - {name: a, identity: X}
          - {name: b, identity: x}
    """)

    assert ['stations[1].identity (line 4): "x" is that of station a too, at the same CSMS'] == problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mqtt:\n\turl: x", "line 2: This is no YAML, column 1:"),
        ("mqtt:\n\turl: x", "indent with spaces, not with tabs"),
        ("mqtt: {password: hunter2\nlog: x", "line 2: This is no YAML, column 4:"),
        ("mqtt: {}\nlog: {}\nmqtt: {}", "mqtt (line 3): stands here twice; first on line 1"),
        ("- a", "line 1: The file must be a mapping"),
        ("", "stations: is empty; at least one entry is needed"),
        ("stations: garage", "stations (line 1): must be a list of stations, or a mapping"),
        ("a: !!python/object:os.system {}", "line 1: This is no YAML"),
        ("a: &x [*x]", "The file is no YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(
    refused: Callable[..., list[str]], text: str, problem: str
) -> None:
    """Broken YAML has a line and a column."""
    problems = refused(text)

    assert any(problem in told for told in problems), problems


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Neither a missing file nor one that is no text is a traceback."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    for name, why in (
        ("missing.yaml", "No such file"),
        ("binary.yaml", "not UTF-8"),
        (".", "Is a directory"),
    ):
        with pytest.raises(SettingsError, match=why):
            load(tmp_path / name, NOWHERE)


def test_a_mistake_in_the_environment_names_the_variable(refused: Callable[..., list[str]]) -> None:
    """Whoever looks into the file only would not find it."""
    problems = refused(
        MINIMAL,
        {
            "OCPP_GATEWAY_MQTT__KEEPALIVE_S": "often",
            "OCPP_GATEWAY_MQTT__URI": "x",
            "OCPP_GATEWAY_MQQT__URL": "x",
            "OCPP_GATEWAY_STATIONS__GARRAGE__MODEL": "x",
        },
    )

    unknown = 'is no key that is known here; did you mean "url"?'
    assert [
        'environment variable OCPP_GATEWAY_MQQT__URL: no setting has this name; did you mean "mqtt"?',
        "environment variable OCPP_GATEWAY_STATIONS__GARRAGE…: the file has no such station",
        'mqtt.keepalive_s (environment variable OCPP_GATEWAY_MQTT__KEEPALIVE_S): "often" is no whole number',
        f"mqtt.uri (environment variable OCPP_GATEWAY_MQTT__URI): {unknown}",
    ] == sorted(problems)


def test_no_error_tells_a_secret(refused: Callable[..., list[str]], tmp_path: Path) -> None:
    """Not a wrong password, nor one under a wrong key, in a URL, in broken YAML or among variables."""
    (tmp_path / "empty").write_text("\n")
    told = "\n".join(
        refused("""\
            mqtt: {url: "mqtt://u:hunter2@b", username: u, password: [hunter2], pasword: hunter2}
            stations:
              - name: a
                csms: {url: "ws://u:hunter2@c", password: hunter2, password_encoding: hex}
              - name: b
                csms: {url: "ws://c", password: {x: hunter2}}
              - name: c
                csms: {url: "ws://c"}
                variables: {AuthorizationKey: hunter2, BasicAuthPasword: hunter2}
              - name: d
                csms: {url: "wss://c", password_file: empty}
              - name: e
                csms: {url: "wss://c", password: hunter2, password_encoding: hex}
              - name: f
                csms: {url: "ws://c"}
                policy: {free_charging: {token: hunter2hunter2hunter2hunter2hunter2hunter2}}
        """)
        + refused("mqtt: {password: hunter2\nlog: x")
    )  # fmt: skip

    assert "hunter2" not in told
    assert "empty is empty" in told


def test_only_the_first_of_thousands_of_problems_are_shown() -> None:
    """A terminal is not flooded; all of them are in the error."""
    error = SettingsError("x.yaml", [Problem(("stations", n), "is wrong") for n in range(2000)])

    assert 52 == len(str(error).splitlines())
    assert "… and 1950 more" in str(error)


# ------------------------------------------------------------------ telling


def test_the_effective_configuration_is_a_configuration_without_secrets(loaded: Load, tmp_path: Path) -> None:
    """What `check` prints means the same when it is loaded again."""
    text = """
        mqtt: {username: u, password: hunter2}
        csms: {main: {url: "wss://c", password: hunter2}}
        defaults: {csms: main, policy: {free_charging: {token: FREE}}}
        stations:
          - name: a
            evses: [{connectors: 2}, {connectors: [{type: sType2}]}]
            variables: {HeartbeatInterval: 9}
          - {name: b, csms: {versions: 1.6, password: 00112233445566778899aabbccddeeff}, connectors: 2}
          - {name: c, csms: "ws://other"}
    """
    settings = loaded(text)

    told = effective(settings)
    (tmp_path / "again.yaml").write_text(told.replace("'***'", "'00'"))
    again = load(tmp_path / "again.yaml", NOWHERE)

    assert "hunter2" not in told
    assert "0011" not in told
    assert settings.station_configs() == again.station_configs()
    assert told == effective(again)


async def test_what_the_csms_has_written_is_compared(loaded: Load, tmp_path: Path) -> None:
    """Only what differs is told, by both its names, and never a password."""
    settings = loaded(f"""
        store: {{path: {tmp_path / "gateway.db"}}}
        defaults: {{csms: "ws://c", variables: {{HeartbeatInterval: 60, ConnectionTimeOut: 30}}}}
        stations: [{{name: garage}}, {{name: yard}}]
    """)
    assert [] == list(differences(settings))
    variables = Variables(settings.station_configs()[0], {})
    variables.provide("OCPPCommCtrlr", "HeartbeatInterval", "77")
    variables.provide("TxCtrlr", "EVConnectionTimeOut", "31")
    variables.provide("TxCtrlr", "EVConnectionTimeOut", "30")
    variables.provide("SecurityCtrlr", "BasicAuthPassword", "hunter2hunter2hunter2")
    store = Store.open(settings.store.path)
    store.submit(
        "garage",
        [
            Write("variable", name, msgspec.json.encode(VariableRecord(text)))
            for name, text in variables.changed().items()
            if text
        ],
        lambda _error: None,
    )
    await store.close()

    assert [
        (
            "garage: OCPPCommCtrlr.HeartbeatInterval (1.6: HeartbeatInterval) is '77' as the CSMS wrote it; "
            "the configuration says '60'."
        ),
        "garage: SecurityCtrlr.BasicAuthPassword was written by the CSMS and holds instead of csms.password.",
    ] == list(differences(settings))


def test_the_tables_of_the_document_are_those_of_the_settings() -> None:
    """`python -m gateway.settings.reference docs/configuration.md` makes them so again."""
    document = (ROOT / "docs" / "configuration.md").read_text()

    assert with_tables(document) == document


def test_the_examples_of_the_document_can_be_used(tmp_path: Path) -> None:
    """What is shown works."""
    (tmp_path / "yard.password").write_text("secret")
    document = (ROOT / "docs" / "configuration.md").read_text()
    examples = [part.partition("```")[0] for part in document.split("```yaml\n")[1:]]
    file = tmp_path / "gateway.yaml"
    for example in examples:
        file.write_text(example if "stations:" in example else f"{example}\nstations: [{{name: a}}]\n")
        csms = {} if "csms:" in example else {"OCPP_GATEWAY_DEFAULTS__CSMS__URL": "ws://c"}
        assert load(file, NOWHERE | csms).station_configs()
    assert 8 == len(examples)


WORDS = (
    *("mqtt", "csms", "defaults", "stations", "name", "url", "connectors", "evses", "policy", "variables"),
    *("connector", "endpoint", "count", "versions", "x"),
)


def told_or_loaded(file: Path) -> tuple[Problem, ...] | tuple[StationConfig, ...]:
    try:
        return tuple(load(file, NOWHERE).station_configs())
    except SettingsError as error:
        return error.problems


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_no_data_whatever_makes_it_stumble(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    """A configuration is used or refused in sentences; there is no third way."""
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(json.dumps(data))

    outcome = told_or_loaded(file)

    assert outcome


# ------------------------------------------------------------------ foreign devices


def test_a_device_is_what_its_profile_says_unless_the_operator_says_otherwise(loaded: Load) -> None:
    """A plug switches and feels no cable; its own limit is written here."""
    settings = loaded(
        """
        stations:
          - name: garage
            csms: ws://c
            connectors:
              - {max_current_a: 10, device: {profile: shelly-gen2-switch, base: plug-1, parameters: {channel: 1}}}
              - {}
        """
    )
    plug, native = only_station(settings).connectors
    (binding,) = settings.bindings()

    assert ("on_off", False, 1, 10.0) == (plug.limiting, plug.plug_sensor, plug.phases, plug.max_current_a)
    assert ("continuous", True) == (native.limiting, native.plug_sensor)
    assert ("garage", 1, "shelly-gen2-switch") == (binding.station, binding.n, binding.profile.name)
    assert {"base": "plug-1", "channel": "1", "reply": "plug-1/ocpp"} == binding.parameters
    topics = [wanted.filter for wanted in settings.mqtt_config("i").subscriptions]
    assert {"plug-1/online", "plug-1/status/switch:1", "plug-1/ocpp/rpc"} <= set(topics)
    assert "shelly-gen2-switch" in effective(settings)


def test_ones_own_profile_lies_beside_the_configuration(loaded: Load, tmp_path: Path) -> None:
    """As a file that is named, or by its name in profiles/; all devices of a kind share what was compiled."""
    (tmp_path / "profiles").mkdir()
    own = "title: Mine\nread: [{topic: '{base}/x', meter: {power_w: {unit: W}}}]\n"
    (tmp_path / "mine.yaml").write_text(own)
    (tmp_path / "profiles" / "theirs.yaml").write_text(own)
    settings = loaded(
        """
        stations:
          - {name: a, csms: ws://c, connectors: [{device: {profile: mine.yaml, base: a}}]}
          - {name: "b{n}", count: 2, csms: ws://c, connector: {device: {profile: theirs, base: "b{n}"}}}
        """
    )
    mine, *theirs = settings.bindings()

    assert ("mine", "theirs") == (mine.profile.name, theirs[0].profile.name)
    assert ["b1", "b2"] == [binding.parameters["base"] for binding in theirs]
    assert theirs[0].profile is theirs[1].profile


@pytest.mark.parametrize(
    ("connectors", "said"),
    [
        ("[{device: {profile: opnevse, base: x}}]", '"opnevse" is no profile that is known; did you mean "openevse"?'),
        ("[{device: {profile: openevse}}]", "base (Base topic of its MQTT settings): missing, profile openevse needs"),
        ("[{device: {profile: openevse, base: x, parameters: {y: z}}}]", "y: no parameter of profile openevse"),
        ("[{device: {profile: openevse, base: ocpp/x}}]", "ocpp/x/state, which is below the gateway's own prefix"),
        ("[{device: {profile: openevse, base: x}}, {device: {profile: openevse, base: x}}]", "at a/2 as a/1"),
        ("[{device: [{profile: openevse, base: x}, {profile: openevse, base: y}]}]", "has two that switch"),
        (
            "[{device: [{profile: shelly-gen2-em, base: x}, {profile: shelly-gen2-pm, base: y}]}]",
            "has two that count",
        ),
        ("[{device: {profile: broken.yaml, base: x}}]", 'broken.yaml" cannot be used: read: is missing'),
        ("[{device: {profile: missing.yaml, base: x}}]", "The file cannot be read"),
    ],
)  # fmt: skip
def test_a_device_that_cannot_be_is_refused(
    refused: Callable[..., list[str]], tmp_path: Path, connectors: str, said: str
) -> None:
    """With the sentence that helps, where the connector stands."""
    (tmp_path / "broken.yaml").write_text("title: X\n")
    (problem,) = refused(f"stations:\n  - name: a\n    csms: ws://c\n    connectors: {connectors}\n")

    assert said in problem
    assert "line" in problem


def test_a_station_may_have_a_reader_but_no_charger_of_its_own(refused: Callable[..., list[str]]) -> None:
    (problem,) = refused("stations: [{name: a, csms: ws://c, device: {profile: openevse, base: x}}]")

    assert "openevse is a charger or a switch: it belongs to a connector" in problem
