"""What certificates need of cryptography and of a disk; what follows from it is the station's to decide."""

from gateway.certificates.desk import Desk
from gateway.certificates.keys import KeyRing

__all__ = ["Desk", "KeyRing"]
