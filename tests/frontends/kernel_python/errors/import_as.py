from pmaplab.machine.x86_64 import CPU as C
