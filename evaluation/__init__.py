"""Measure trackers and masks: datasets, metrics, classic baselines and reports. Floor 5."""
