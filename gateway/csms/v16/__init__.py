"""OCPP 1.6, one file per block: here alone the richer facts of the core lose what 1.6 has no words for."""

from gateway.csms.dialect import UNTOLD, Block, Dialect
from gateway.csms.v16 import (
    authorization,
    availability,
    certificates,
    configuration,
    firmware,
    local_list,
    metering,
    provisioning,
    remote,
    reservation,
    security,
    smart_charging,
    transactions,
    vendor,
)
from gateway.station.model import Flavor, StopReason, TxPoint
from gateway.station.reports import Notification, VariablePage

FLAVOR = Flavor(
    version="ocpp1.6",
    start_points=frozenset({TxPoint.POWER_PATH_CLOSED}),
    stop_points=frozenset({TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED}),
    fine_status=True,
    station_status=True,
    status_after_reconnect=False,
    answers_while_rejected=False,  # 1.6 §4.2
    unlock_ends_transaction=True,  # 1.6 §5.18
    unknown_connector_is_error=True,  # 1.6 errata 3.38
    ended_samples_follow_updated=True,
    reset_reasons=(StopReason.HARD_RESET, StopReason.SOFT_RESET),
)

# 1.6 has no device model that it could tell about.
_WITHOUT_WORDS = Block(tells={Notification: UNTOLD, VariablePage: UNTOLD})

DIALECT = Dialect.of_blocks(
    FLAVOR,
    (
        provisioning.BLOCK,
        authorization.BLOCK,
        transactions.BLOCK,
        metering.BLOCK,
        availability.BLOCK,
        configuration.BLOCK,
        remote.BLOCK,
        local_list.BLOCK,
        reservation.BLOCK,
        smart_charging.BLOCK,
        security.BLOCK,
        certificates.BLOCK,
        firmware.BLOCK,
        vendor.BLOCK,
        _WITHOUT_WORDS,
    ),
)
