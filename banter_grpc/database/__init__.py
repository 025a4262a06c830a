"""The way to PostgreSQL: typed queries, the connections that run them, migrations, and an embedded server."""
