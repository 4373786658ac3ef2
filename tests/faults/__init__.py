"""What must hold when the process is killed, the line fails or the disk is full: real daemons, real wires.

FAULT_ROUNDS in the environment is how often over: 1 in `make test`, more in `make faults`.
"""

import os

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
