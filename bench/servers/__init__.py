"""Real S3 servers on loopback, each for as long as a `with` block lasts."""
