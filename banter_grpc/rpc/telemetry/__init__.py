"""What operators see: one structured line per call, metrics, and no personal data in either."""
