"""The link laboratory: networks and stores with known limits, to measure how clients cope with them."""
