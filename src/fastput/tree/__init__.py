"""Directories: walked, filtered, compared with a store, surveyed. One file is the engine's business."""
