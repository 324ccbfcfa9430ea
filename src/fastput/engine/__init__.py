"""Plans uploads, keeps the window and the memory, retries: one loop."""
