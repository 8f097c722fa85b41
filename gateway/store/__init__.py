"""What the gateway must not forget is in one file, and is called kept only after it has reached the disk."""

from gateway.store.errors import StoreError, StoreFull
from gateway.store.store import Done, Loaded, Store
from gateway.store.writes import Write

__all__ = ["Done", "Loaded", "Store", "StoreError", "StoreFull", "Write"]
