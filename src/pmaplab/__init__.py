"""An executable model and exhaustive checker for the FreeBSD amd64 pmap layer."""

import time

__version__ = "0.1.0"

# When this process began to read the package, in seconds of the wall clock.
STARTED = time.time()
