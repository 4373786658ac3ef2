"""Contract suites: every driver and the uplink on real wires."""
