"""Logs: what a person and a machine read, and what neither may."""

import dataclasses
import enum
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway.logs import MASKED, FrameLog, configure, mask_token, masked, masked_frame


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that is no terminal; the logging of the process is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


class TokenType(enum.StrEnum):
    ISO14443 = "ISO14443"
    KEY_CODE = "KeyCode"


class IdToken(msgspec.Struct, frozen=True):
    id_token: str
    type: TokenType
    info: str | msgspec.UnsetType = msgspec.UNSET


@dataclasses.dataclass
class Account:
    user: str
    password: str


class TestFormat:
    def test_json_where_nobody_looks(self, stream: io.StringIO) -> None:
        """Without a terminal each event is one JSON object with level and a UTC timestamp."""
        configure(stream=stream)
        structlog.get_logger().info("station connected", station="garage", queued=3)

        line = json.loads(stream.getvalue())
        assert line.pop("timestamp").endswith("Z")
        assert {"event": "station connected", "level": "info", "station": "garage", "queued": 3} == line

    def test_text_on_a_terminal(self, stream: io.StringIO) -> None:
        """On a terminal the sentence and its values are readable as they stand."""
        terminal = Terminal()
        configure(stream=terminal)
        structlog.get_logger().info("station connected", station="garage")

        assert "station connected" in terminal.getvalue()
        assert "{" not in terminal.getvalue()

    @pytest.mark.parametrize(("format", "is_json"), [("json", True), ("console", False)])
    def test_the_format_asked_for_wins(self, stream: io.StringIO, format: Any, is_json: bool) -> None:
        """Console into a file and JSON on a terminal are to be had."""
        out = Terminal() if is_json else stream
        configure(format=format, stream=out)
        structlog.get_logger().info("hello")

        assert is_json == out.getvalue().startswith("{")

    def test_level(self, stream: io.StringIO) -> None:
        """What is below the level is not logged."""
        configure("warning", stream=stream)
        structlog.get_logger().info("not this")
        structlog.get_logger().warning("this")

        assert ["this"] == [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    def test_libraries_speak_through_the_same_renderer(self, stream: io.StringIO) -> None:
        """What websockets and paho warn of comes out as JSON with their name; their chatter does not."""
        configure("debug", stream=stream)
        logging.getLogger("websockets.client").info("connection open")
        logging.getLogger("paho").warning("cannot reach %s", "mqtt://gateway:hunter2@broker")

        line = json.loads(stream.getvalue())
        assert ("paho", "warning") == (line["logger"], line["level"])
        assert "cannot reach mqtt://gateway:***@broker" == line["event"]

    def test_configured_twice_each_line_comes_once(self, stream: io.StringIO) -> None:
        """A second configuration replaces the first one, for libraries too."""
        configure(stream=io.StringIO())
        configure(stream=stream)
        logging.getLogger("paho").warning("once")
        structlog.get_logger().info("once")

        assert 2 == len(stream.getvalue().splitlines())

    @pytest.mark.parametrize("format", ["json", "console"])
    def test_a_traceback_tells_no_local_variable(self, stream: io.StringIO, format: Any) -> None:
        """An exception is logged with its traceback, without the values of the frames it passed."""
        configure(format=format, stream=stream)
        hidden = "hunter2"
        try:
            dict[str, str]()[hidden[:0]]
        except KeyError:
            structlog.get_logger().exception("failed")

        assert "KeyError" in stream.getvalue()
        assert "hunter2" not in stream.getvalue()


class TestMasking:
    @pytest.mark.parametrize(
        ("token", "expected"),
        [
            ("04A2B3C4D5E6F7", "04…F7"),
            ("04A2B3C4", "04…C4"),
            ("04A2B3C", MASKED),
            ("1234", MASKED),
            ("", MASKED),
        ],
    )
    def test_token(self, token: str, expected: str) -> None:
        """A token shows both ends; a short one, which that would give away, nothing."""
        assert expected == mask_token(token)

    def test_key_code(self) -> None:
        """A KeyCode is what a driver types: nothing of it is shown."""
        assert MASKED == mask_token("1234567890", "KeyCode")

    @pytest.mark.parametrize(
        "key",
        ["password", "Password", "authorization", "key", "secret", "authorization_key", "basic_auth_password",
         "AuthorizationKey", "basicAuthPassword", "private-key", "client_secret"],
    )  # fmt: skip
    def test_secret_keys(self, key: str) -> None:
        """A secret is masked however its key is written, at any depth."""
        assert {"a": [{key: MASKED}]} == masked({"a": [{key: "hunter2"}]})

    @pytest.mark.parametrize(
        "key", ["id_token", "idToken", "id_tag", "idTag", "parentIdTag", "group_id_token", "token"]
    )
    def test_token_keys(self, key: str) -> None:
        """Tokens are shortened however their key is written."""
        assert {key: "04…F7"} == masked({key: "04A2B3C4D5E6F7"})

    def test_the_name_of_a_setting_is_no_secret(self) -> None:
        """`key` beside a value names an OCPP 1.6 setting; only the value of a secret one is hidden."""
        assert {"key": "HeartbeatInterval", "value": "300"} == masked(
            {"key": "HeartbeatInterval", "value": "300"}
        )
        assert {"key": "AuthorizationKey", "value": MASKED} == masked(
            {"key": "AuthorizationKey", "value": "4f43"}
        )

    def test_structs_dataclasses_and_enums(self) -> None:
        """The project's own records are masked by their fields; what is unset is not there."""
        assert {"id_token": "04…F7", "type": "ISO14443"} == masked(
            IdToken("04A2B3C4D5E6F7", TokenType.ISO14443)
        )
        assert {"id_token": MASKED, "type": "KeyCode"} == masked(IdToken("1234567890", TokenType.KEY_CODE))
        assert {"user": "u", "password": MASKED} == masked(Account("u", "hunter2"))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("mqtts://gateway:hunter2@broker:8883/x", "mqtts://gateway:***@broker:8883/x"),
            ("wss://csms.example/ocpp/CP1", "wss://csms.example/ocpp/CP1"),
            ("Authorization: Basic Q1AxOmh1bnRlcjI=", "Authorization: Basic ***"),
            ("Basic authentication is missing", "Basic authentication is missing"),
        ],
    )
    def test_text(self, text: str, expected: str) -> None:
        """Passwords in URLs and headers are masked inside a sentence; the sentence stays."""
        assert expected == masked(text)

    def test_bytes_are_counted(self) -> None:
        """Bytes may hold anything: their number is enough."""
        assert {"payload": "<3 bytes>"} == masked({"payload": b"abc"})

    def test_a_log_line_is_masked(self, stream: io.StringIO) -> None:
        """The mask holds for what is bound, what is passed, and what an exception says."""
        configure(stream=stream)
        log = structlog.get_logger().bind(password="hunter2")
        try:
            raise ConnectionError("mqtt://gateway:hunter2@broker refused")
        except ConnectionError:
            log.exception("failed", card=IdToken("04A2B3C4D5E6F7", TokenType.ISO14443))

        assert "hunter2" not in stream.getvalue()
        assert "04A2B3C4D5E6F7" not in stream.getvalue()
        assert {"id_token": "04…F7", "type": "ISO14443"} == json.loads(stream.getvalue())["card"]


class TestMaskedFrame:
    def test_a_frame_without_secrets_is_unchanged(self) -> None:
        """What holds nothing to hide is logged byte for byte."""
        frame = b'[2, "1","Heartbeat",{ }]'

        assert frame == masked_frame(frame)

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b'[2,"1","Authorize",{"idTag":"04A2B3C4D5"}]',
                b'[2,"1","Authorize",{"idTag":"04\xe2\x80\xa6D5"}]',
            ),
            (
                b'{"idToken":{"idToken" : "04A2B3C4D5","type":"ISO14443"}}',
                b'{"idToken":{"idToken" : "04\xe2\x80\xa6D5","type":"ISO14443"}}',
            ),
            (
                b'{"idToken":{"idToken":"1234567890","type":"KeyCode"}}',
                b'{"idToken":{"idToken":"***","type":"KeyCode"}}',
            ),
            (b'{"idTokenInfo":{"status":"Accepted"}}', b'{"idTokenInfo":{"status":"Accepted"}}'),
        ],
    )
    def test_tokens(self, frame: bytes, expected: bytes) -> None:
        """Tokens are masked in both versions' spelling, and shown where that is wanted."""
        assert expected == masked_frame(frame)
        assert frame == masked_frame(frame, tokens=False)

    @pytest.mark.parametrize(
        "payload",
        [
            {"key": "AuthorizationKey", "value": "HUNTER2"},
            {"value": "HUNTER2", "key": "authorizationkey"},
            {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "HUNTER2"}]},
            {
                "setVariableData": [
                    {
                        "attributeValue": "HUNTER2",
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                    }
                ]
            },
            {
                "reportData": [
                    {"variable": {"name": "BasicAuthPassword"}, "variableAttribute": [{"value": "HUNTER2"}]},
                ]
            },
            {"connectionData": {"basicAuthPassword": "HUNTER2", "vpn": {"user": "u", "key": "HUNTER2"}}},
            {"location": "ftp://user:HUNTER2@files.example/fw.bin"},
        ],
    )
    @pytest.mark.parametrize("tokens", [True, False])
    def test_secrets(self, payload: dict[str, Any], tokens: bool) -> None:
        """Passwords and keys are masked wherever either version puts them, whatever is chosen for tokens."""
        frame = json.dumps([2, "1", "Any", payload]).encode()

        shown = masked_frame(frame, tokens=tokens)
        assert b"HUNTER2" in frame
        assert b"HUNTER2" not in shown
        assert [2, "1", "Any"] == json.loads(shown)[:3]

    def test_other_settings_stay_readable(self) -> None:
        """A secret in a frame hides itself, not its neighbours."""
        settings = [
            {"key": "AuthorizationKey", "readonly": False, "value": "4f43"},
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        ]

        shown = json.loads(masked_frame(json.dumps(settings).encode()))
        assert [MASKED, "300"] == [setting["value"] for setting in shown]
        assert ["AuthorizationKey", "HeartbeatInterval"] == [setting["key"] for setting in shown]

    def test_escapes_hide_nothing(self) -> None:
        """A key spelt with JSON escapes is recognised."""
        frame = b'[2,"1","ChangeConfiguration",{"key":"Authorization\\u004bey","value":"HUNTER2"}]'

        assert b"HUNTER2" not in masked_frame(frame)

    def test_what_is_no_json_and_may_hold_a_secret_is_not_shown(self) -> None:
        """A broken frame around a password is told by its size."""
        assert b"<31 bytes that are no JSON and may hold a secret>" == masked_frame(
            b'[2,"1",{"password":"HUNTER2"}]]'
        )


class TestFrameLog:
    def test_a_line_tells_when_who_and_which_way(self, tmp_path: Path) -> None:
        """Each frame is one line, line breaks inside it notwithstanding."""
        log = FrameLog(tmp_path / "frames.log")
        log.write("garage", "sent", b'[2,"1",\n"Heartbeat",{}]')
        log.write("garage", "received", b'[3,"1",{}]')
        log.close()

        first, second = (tmp_path / "frames.log").read_text().splitlines()
        time, *rest = first.split(" ", 3)
        assert (24, "Z") == (len(time), time[-1])
        assert ["garage", "sent", '[2,"1", "Heartbeat",{}]'] == rest
        assert second.endswith('garage received [3,"1",{}]')

    def test_files_never_exceed_their_bound(self, tmp_path: Path) -> None:
        """The files together stay below max_bytes × (backups + 1), the newest frame in the first."""
        log = FrameLog(tmp_path / "frames.log", max_bytes=500, backups=2)
        for number in range(100):
            log.write("garage", "sent", b'[2,"%d","Heartbeat",{}]' % number)
        log.close()

        sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
        assert {"frames.log", "frames.log.1", "frames.log.2"} == sizes.keys()
        assert max(sizes.values()) <= 500
        assert '"99"' in (tmp_path / "frames.log").read_text()

    def test_no_backups(self, tmp_path: Path) -> None:
        """With no backups the one file starts anew."""
        log = FrameLog(tmp_path / "frames.log", max_bytes=200, backups=0)
        for _ in range(20):
            log.write("garage", "sent", b"[]")
        log.close()

        assert ["frames.log"] == [file.name for file in tmp_path.iterdir()]
        assert (tmp_path / "frames.log").stat().st_size <= 200

    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        """A restart appends, and counts what is there."""
        for _ in range(2):
            log = FrameLog(tmp_path / "frames.log", max_bytes=70)
            log.write("garage", "sent", b"[1]")
            log.close()

        assert 2 == sum(len(file.read_text().splitlines()) for file in tmp_path.iterdir())

    def test_others_may_not_read_it(self, tmp_path: Path) -> None:
        """The file is for its owner and group."""
        log = FrameLog(tmp_path / "frames.log")
        log.write("garage", "sent", b"[]")
        log.close()

        assert 0 == (tmp_path / "frames.log").stat().st_mode & 0o007

    def test_off(self, tmp_path: Path) -> None:
        """Without a path nothing is written."""
        FrameLog(None).write("garage", "sent", b"[]")

        assert [] == list(tmp_path.iterdir())

    def test_a_disk_that_refuses_disturbs_nobody(self, tmp_path: Path, stream: io.StringIO) -> None:
        """A failure is told once with the way out, the loss is counted, and the end is told too."""
        configure(stream=stream)
        directory = tmp_path / "missing"
        log = FrameLog(directory / "frames.log")
        for _ in range(3):
            log.write("garage", "sent", b"[]")
        directory.mkdir()
        log.write("garage", "sent", b"[]")
        log.close()

        failed, recovered = (json.loads(line) for line in stream.getvalue().splitlines())
        assert ("error", str(directory / "frames.log")) == (failed["level"], failed["path"])
        assert 3 == recovered["lines_lost"]
        assert 1 == len((directory / "frames.log").read_text().splitlines())
