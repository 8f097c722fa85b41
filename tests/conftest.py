"""What holds for every test."""

from hypothesis import settings

# How fast an example runs says more about the machine than about the code; each test has its time-out.
settings.register_profile("gateway", deadline=None, print_blob=True)
settings.load_profile("gateway")
