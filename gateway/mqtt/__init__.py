"""The MQTT edge: what devices and people say becomes events, what the station wants becomes messages."""
