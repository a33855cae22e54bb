from pmaplab.system import System
