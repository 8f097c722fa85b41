"""Everything towards the operator: OCPP-J, its link, and the dialects; it never meets MQTT or the store."""
