"""Every way to run a stream: in memory, to files with resume, live, in passes, backward."""
