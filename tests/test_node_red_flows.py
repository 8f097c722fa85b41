"""The flows of config/node-red are whole, and hold no secret, no address and no retained command."""

from __future__ import annotations

import yaml

from tests.support.node_red import FLOWS, flow, merged, references

NAMES = sorted(path.name for path in FLOWS.glob("*.json"))
RETAINED_FACTS = {"${INFO}", "${AVAILABILITY_RELAY}"}


def test_every_flow_consists_of_what_node_red_knows() -> None:
    """Core nodes only: see `test_every_type_is_installed`. No wire, tab or broker is missing, no id is used twice."""
    everything = merged(*(flow(name) for name in NAMES))
    for name in NAMES:
        nodes = flow(name)
        ids = [node["id"] for node in nodes]
        assert len(ids) == len(set(ids)), name
        assert [] == [(node["name"], target) for node, target in references(nodes) if target not in ids], name
        assert ["tab"] == [node["type"] for node in nodes if "label" in node], name
        comments = [node["info"] for node in nodes if node["type"] == "comment"]
        assert all(len(text) > 200 for text in comments), name
        assert len(comments) == 1, name
        for node in nodes:
            assert node in everything, f"{name} and another flow differ in {node['name']}"


def test_no_flow_holds_a_secret_an_address_or_a_retained_command() -> None:
    """Brokers come from the environment, and what is retained are facts about a device."""
    for name in NAMES:
        for node in flow(name):
            assert "credentials" not in node, name
            if node["type"] == "mqtt-broker":
                assert node["broker"] == "${OCPP_MQTT_URL}", name
            elif node["type"] == "mqtt in":
                assert node["rap"] is False, (
                    f"{name}: with MQTT 5 a live heartbeat would look like a stored one"
                )
            elif node["type"] == "mqtt out":
                retains = "true" if node["topic"] in RETAINED_FACTS else "false"
                assert retains == node["retain"], (name, node["name"])
            elif node["type"] == "function":
                assert "retain" not in node["func"].replace("msg.retain", ""), (name, node["name"])
                assert [] == node["libs"], (name, node["name"])


def test_compose_lists_the_flows_and_gives_them_their_broker() -> None:
    """What the flows need of the environment is set, and they lie where Node-RED's library looks."""
    compose = yaml.safe_load((FLOWS.parents[1] / "docker" / "compose.yaml").read_text())
    service = compose["services"]["nodered"]

    assert "mqtt://mosquitto:1883" == service["environment"]["OCPP_MQTT_URL"]
    assert "../config/node-red:/data/lib/flows/ocpp:ro" in service["volumes"]
    assert 7 == len(NAMES)
