"""Rules without I/O: nothing here reads a clock, a socket, a file or a database."""
