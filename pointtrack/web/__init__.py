"""What every web server of this package stands on: who may ask (`safety`), and how it is served (`server`)."""
