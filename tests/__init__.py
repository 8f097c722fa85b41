"""What the gateway promises, checked."""
