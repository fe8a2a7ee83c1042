"""The tracker network, its windows, and its weights."""
