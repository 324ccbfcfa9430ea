"""The discarding S3-shaped server: C sources."""
