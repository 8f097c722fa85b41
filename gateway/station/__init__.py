"""The charging station itself: pure facts, rules and decisions; no clock, no wire, no OCPP version."""
