"""The rights on the broker as they are printed; what they grant is shown by a broker in tests/edges."""

from pathlib import Path

import pytest

from gateway.mqtt.acl import AccountTaken, Foreign, file_for, file_for_any_station

_SHIPPED = Path(__file__).parents[2] / "mosquitto" / "acl"


def test_the_shipped_file_is_the_printed_one() -> None:
    """What lies in mosquitto/ and what the program prints for any station are the same."""
    assert _SHIPPED.read_text() == file_for_any_station()


def test_each_station_has_an_account_and_no_other() -> None:
    """One section a station, below the configured prefix; the gateway's section bears its own account."""
    printed = file_for(["garage", "yard"], prefix="site/ev", gateway_account="bridge")

    users = [line.removeprefix("user ") for line in printed.splitlines() if line.startswith("user ")]
    assert ["garage", "yard", "bridge", "reader", "homeassistant", "nodered", "admin"] == users
    assert "topic read site/ev/yard/+/setpoint\n" in printed
    assert "ocpp/" not in printed
    assert ["pattern read site/ev/bridge/state"] == [
        line for line in printed.splitlines() if line.startswith("pattern")
    ]


def test_home_assistant_may_say_elsewhere_that_it_has_started() -> None:
    """Its prefix and its status topic are settings there too."""
    printed = file_for(["a"], prefix="ocpp", discovery_prefix="ha", birth_topic="home/born")

    assert "topic readwrite ha/device/+/config\n" in printed
    assert "topic read home/born\n" in printed
    assert "home/born" not in file_for(["a"], prefix="ocpp", discovery_prefix="ha", birth_topic="ha/status")


def test_topics_of_foreign_devices_stand_as_they_are() -> None:
    """Whatever characters they have: the gateway hears what the device says, and the other way round."""
    foreign = {"a": Foreign(("shelly/{1}/online",), ("shelly/{1}/rpc",)), "b": Foreign((), ())}
    printed = file_for(["a", "b"], prefix="ocpp", foreign=foreign)
    sections = {part.split("\n", 1)[0]: part for part in printed.split("\nuser ")}

    assert "topic read shelly/{1}/online\ntopic write shelly/{1}/rpc\n" in sections["gateway"]
    assert "topic write shelly/{1}/online\ntopic read shelly/{1}/rpc\n" in sections["a"]
    assert "shelly" not in sections["b"]


@pytest.mark.parametrize("name", ["gateway", "admin", "nodered"])
def test_a_station_cannot_bear_the_name_of_another_account(name: str) -> None:
    """It would have that account's rights; the sentence says what to change."""
    with pytest.raises(AccountTaken, match=f"station '{name}'.*another name"):
        file_for([name], prefix="ocpp")
