"""The pytest plugin of moat-satellite: fixtures that start a device and connect to it."""
