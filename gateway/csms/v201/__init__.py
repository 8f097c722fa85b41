"""OCPP 2.0.1, one file per functional block: the core's own vocabulary, put into its messages."""

from gateway.csms.dialect import Dialect
from gateway.csms.v201 import (
    authorization,
    availability,
    certificates,
    device_model,
    diagnostics,
    firmware,
    metering,
    provisioning,
    remote,
    security,
    transactions,
    vendor,
)
from gateway.station.model import Flavor, StopReason

FLAVOR = Flavor(
    version="ocpp2.0.1",
    fine_status=False,
    station_status=False,
    status_after_reconnect=True,  # B04
    answers_while_rejected=True,  # B03.FR.08: by a CALLERROR
    unlock_ends_transaction=False,  # F05.FR.02
    ended_samples_follow_updated=False,
    reset_reasons=(StopReason.IMMEDIATE_RESET, StopReason.REBOOT),  # B12
)

DIALECT = Dialect.of_blocks(
    FLAVOR,
    (
        provisioning.BLOCK,
        device_model.BLOCK,
        authorization.BLOCK,
        transactions.BLOCK,
        metering.BLOCK,
        availability.BLOCK,
        remote.BLOCK,
        security.BLOCK,
        certificates.BLOCK,
        diagnostics.BLOCK,
        firmware.BLOCK,
        vendor.BLOCK,
    ),
)
