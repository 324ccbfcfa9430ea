"""What fastput reads: objects, what lies under prefixes, members of archives; as files, as listings, piece by piece."""
