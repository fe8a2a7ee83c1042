"""One file per format of tracks; `pointtrack.io.tracks` chooses among them."""
