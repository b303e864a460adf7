"""The assets: thin bodies that locate, call the library, describe, version and return."""
