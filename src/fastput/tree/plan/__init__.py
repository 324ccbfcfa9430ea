"""What sending a tree will take and cost: `fastput plan`. estimate.py reckons, purely; file.py can be executed."""
