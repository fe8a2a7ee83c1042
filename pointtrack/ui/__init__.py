"""The page on which a person clicks, views, corrects and exports: a server and a page on top of the sessions."""
