"""Sessions, in which people correct tracks and objects: prompts, undo, files."""
