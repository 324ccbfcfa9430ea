"""The compiled parts of fastput: the checksum kernels and what reads files through them."""
