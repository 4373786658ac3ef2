"""The other end of each wire: simulated devices that speak the real protocol."""
