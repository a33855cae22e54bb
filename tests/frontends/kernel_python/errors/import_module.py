import pmaplab.machine.x86_64
