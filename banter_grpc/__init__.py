"""Banter: the backend of a social audio/video platform, served over gRPC from a PostgreSQL database."""
