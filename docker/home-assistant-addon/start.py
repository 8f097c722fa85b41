"""The add-on's start: the user's options and Home Assistant's broker become the gateway's configuration."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

USER = 10001
_HEALTH_PORT = 8080


def broker(supervisor: str, token: str) -> dict[str, Any]:
    """What the Supervisor says of the MQTT service. SystemExit, with a sentence, when there is none."""
    request = urllib.request.Request(
        f"{supervisor}/services/mqtt", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            service: dict[str, Any] = json.load(answer)["data"]
            service["host"], service["port"]
            return service
    except (urllib.error.URLError, OSError, ValueError, LookupError, TypeError) as error:
        sys.exit(
            f"Home Assistant names no MQTT broker ({error}). Install and start the Mosquitto broker add-on, "
            "or set up the MQTT integration, then start this add-on again."
        )


def environment(service: dict[str, Any], data: Path) -> dict[str, str]:
    """What the configuration says of the broker and of this place, whatever file there is."""
    scheme = "mqtts" if service.get("ssl") else "mqtt"
    said = {
        "OCPP_GATEWAY_MQTT__URL": f"{scheme}://{service['host']}:{service['port']}",
        "OCPP_GATEWAY_STORE__PATH": str(data / "gateway.db"),
        "OCPP_GATEWAY_HEALTH__HOST": "0.0.0.0",
        "OCPP_GATEWAY_HEALTH__PORT": os.environ.get("HEALTH_PORT", str(_HEALTH_PORT)),
    }
    if service.get("username"):
        said["OCPP_GATEWAY_MQTT__USERNAME"] = service["username"]
        said["OCPP_GATEWAY_MQTT__PASSWORD"] = service.get("password") or ""
    return said


def configuration(options: dict[str, Any]) -> dict[str, Any]:
    """The gateway's configuration for what the user chose."""
    stations = []
    for option in options.get("stations", ()):
        csms: dict[str, Any] = {"url": option["csms_url"]}
        if option.get("version"):
            csms["versions"] = [option["version"]]
        if option.get("password"):
            csms["password"] = option["password"]
        connector = {
            name: option[name] for name in ("max_current_a", "phases", "plug_sensor") if name in option
        }
        station: dict[str, Any] = {"name": option["name"], "csms": csms}
        if option.get("identity"):
            station["identity"] = option["identity"]
        if connector:
            station["connector"] = connector
        if "connectors" in option:
            station["connectors"] = option["connectors"]
        stations.append(station)
    return {"log": {"level": options.get("log_level", "info")}, "stations": stations}


def main() -> None:
    """Write the configuration, give up root, and become the gateway."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("/data"))
    parser.add_argument("--config", type=Path, default=Path("/config"), help="the add-on's own folder")
    parser.add_argument("--supervisor", default="http://supervisor")
    places = parser.parse_args()
    options = json.loads((places.data / "options.json").read_text())
    said = environment(broker(places.supervisor, os.environ.get("SUPERVISOR_TOKEN", "")), places.data)
    if name := options.get("configuration_file"):
        file = places.config / name
        if not file.is_file():
            sys.exit(
                f"There is no {file}. Put it into this add-on's own folder, or empty the option configuration_file."
            )
    else:
        file = places.data / "gateway.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(configuration(options), indent=1))  # JSON is YAML
    if os.geteuid() == 0:
        for path in (places.data, *places.data.rglob("*")):
            os.chown(path, USER, USER)
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    os.chdir(places.data)
    os.execvpe("ocpp-gateway", ["ocpp-gateway", "run", str(file)], os.environ | said)  # noqa: S606, S607


if __name__ == "__main__":
    main()
