"""Foreign devices as data: a profile says what a device's own topics mean, and what it wants to hear."""
