"""One file per format of tracks; `pointtrack.export` chooses among them."""
