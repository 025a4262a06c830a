"""How calls come in and answers go out: one adapter for each kind of server."""
