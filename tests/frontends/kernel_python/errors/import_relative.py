from .machine import CPU
