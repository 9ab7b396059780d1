"""HTTP/1.1 without I/O: bytes in, values out. No socket, no clock, no logging, no environment."""
