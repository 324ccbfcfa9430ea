"""What several tests stand on: content, independent checksums, servers that misbehave, the command line."""
