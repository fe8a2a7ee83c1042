"""The basis of every web server of this package: access checks (`safety`) and serving (`server`)."""
