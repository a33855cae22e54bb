"""An executable model and exhaustive checker for the FreeBSD amd64 pmap layer."""

__version__ = "0.1.0"
