"""Measure point trackers: datasets, metrics, classic baselines and one report. Floor 5."""
