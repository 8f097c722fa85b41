"""Home Assistant finds every station by MQTT discovery: one message a device, made anew when Home Assistant starts."""

from gateway.homeassistant.announcer import Announcer, Stations, Ways
from gateway.homeassistant.messages import Described

__all__ = ["Announcer", "Described", "Stations", "Ways"]
