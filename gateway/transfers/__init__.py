"""Files on their way between the gateway and where a CSMS wants them."""

from gateway.transfers.courier import Courier

__all__ = ["Courier"]
