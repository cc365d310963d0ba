"""Settings of Prefect for a machine without a server or a network; they count only before Prefect is imported."""

from __future__ import annotations

import os

SETTINGS = {
    # Both or an offline run prints tracebacks of telemetry that cannot be sent.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Without a server each process starts its own on 127.0.0.1, which takes up to 20 s on two cores.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
