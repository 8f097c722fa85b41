"""A charging station in software: MQTT devices on one side, an OCPP CSMS on the other."""

__version__ = "0.1.0"
