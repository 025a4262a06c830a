"""What surrounds a handler: admission, deadline, caller, limits, validation, errors, telemetry.

Nothing here knows a transport or a service: a call comes as bytes and leaves as bytes or a status.
"""
