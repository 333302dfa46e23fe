"""Supports from files, and the library of them that a server keeps."""
