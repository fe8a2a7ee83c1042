"""People correct tracks and objects: prompts, undo, files."""
