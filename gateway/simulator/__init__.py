"""A simulated charger and car: a device like any other, that knows only the public MQTT contract."""
