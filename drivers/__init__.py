"""Device drivers: one file per protocol."""
