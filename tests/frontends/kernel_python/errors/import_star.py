from pmaplab.machine.x86_64 import *
