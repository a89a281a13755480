"""The appliance: commands, daemons, services and the demonstration."""
