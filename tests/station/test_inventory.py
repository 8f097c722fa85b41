"""GetBaseReport: a snapshot in pages, after the reply, never in the way."""

from tests.station.rig import Payload, Rig


def booted() -> Rig:
    rig = Rig("2.0.1", connectors=2)
    rig.boot()
    return rig


def report(rig: Rig, base: str, request_id: int = 1) -> str | None:
    return rig.status_of("GetBaseReport", requestId=request_id, reportBase=base)


def rows(pages: list[Payload]) -> list[Payload]:
    return [row for page in pages for row in page["reportData"]]


def test_pages_are_numbered_and_the_last_one_says_so() -> None:
    """# B07.FR.03, .04, .10, [TC_B_12], [TC_B_13]: seqNo from 0, tbc."""
    rig = booted()

    assert "Accepted" == report(rig, "FullInventory", 42)

    pages = rig.payloads("NotifyReport")
    assert "GetBaseReport: Accepted" == rig.story()[0]
    assert list(range(len(pages))) == [page["seqNo"] for page in pages]
    assert [True] * (len(pages) - 1) + [False] == [page["tbc"] for page in pages]
    assert {42} == {page["requestId"] for page in pages}


def test_configuration_inventory_has_what_can_be_set() -> None:
    """# B07.FR.07: nothing read-only; the write-only value is left out."""
    rig = booted()

    report(rig, "ConfigurationInventory")

    attributes = [row["variableAttribute"][0] for row in rows(rig.payloads("NotifyReport"))]
    assert {"ReadWrite", "WriteOnly"} == {attribute["mutability"] for attribute in attributes}
    assert all("value" not in a for a in attributes if a["mutability"] == "WriteOnly")


def test_full_inventory_shows_every_evse_and_connector() -> None:
    """# B07.FR.08, [TC_B_53]."""
    rig = booted()
    rig.plug(2)
    rig.forget()

    report(rig, "FullInventory")

    states = {
        (row["component"]["name"], row["component"].get("evse", {}).get("id")): row["variableAttribute"][0][
            "value"
        ]
        for row in rows(rig.payloads("NotifyReport"))
        if row["variable"]["name"] == "AvailabilityState"
    }
    assert "Available" == states["Connector", 1]
    assert "Occupied" == states["Connector", 2]
    assert "Available" == states["ChargingStation", None]


def test_summary_inventory_is_not_supported() -> None:
    """# B07, [TC_B_15]."""
    assert "NotSupported" == report(booted(), "SummaryInventory")


def test_one_page_at_a_time_and_transactions_pass() -> None:
    """A page that is not answered holds nothing else up."""
    rig = booted()
    rig.answers["NotifyReport"] = None
    report(rig, "FullInventory")
    assert 1 == len(rig.payloads("NotifyReport"))

    rig.plug()
    rig.card()

    assert rig.payloads("TransactionEvent")
    assert 1 == len(rig.payloads("NotifyReport"))


def test_an_inventory_is_gone_with_its_link() -> None:
    """Bound to the request."""
    rig = booted()
    rig.answers["NotifyReport"] = None
    report(rig, "FullInventory")
    rig.disconnect()
    del rig.answers["NotifyReport"]
    rig.connect()

    assert 1 == len(rig.payloads("NotifyReport"))


def test_too_many_at_once_are_rejected() -> None:
    """# B07.FR: busy."""
    rig = booted()
    rig.answers["NotifyReport"] = None

    statuses = [report(rig, "FullInventory", n) for n in range(6)]

    assert "Rejected" == statuses[-1]
