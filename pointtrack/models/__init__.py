"""The tracker network and its windows (floor 2)."""
