"""The native engine: C generated from the IR, and a runtime in C that searches."""
