"""The set-piece of `make demo`: real parts on one machine, shown to a stranger, and judged when it is over."""

from gateway.demo.stage import run_demo

__all__ = ["run_demo"]
