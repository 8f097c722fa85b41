"""The versions that can be spoken, by their subprotocol."""

from gateway.csms import v16, v201
from gateway.csms.dialect import Dialect

DIALECTS: dict[str, Dialect] = {dialect.version: dialect for dialect in (v16.DIALECT, v201.DIALECT)}
