"""The command `pointtrack`."""
