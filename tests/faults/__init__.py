"""What must hold when the process is killed or the disk is full: real daemons, real wires."""
