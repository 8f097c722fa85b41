"""Every knob of the gateway, with title, unit, default and why; mistakes are answered in sentences."""

from gateway.settings.problems import Problem, SettingsError
from gateway.settings.render import effective
from gateway.settings.root import Settings, load

__all__ = ["Problem", "Settings", "SettingsError", "effective", "load"]
