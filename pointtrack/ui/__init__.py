"""The page on which a person points, sees, corrects and exports: server and page, over the sessions, no logic of tracking."""
