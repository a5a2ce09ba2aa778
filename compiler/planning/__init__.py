"""Components -> Plan: ways to run each, the memory limit, predictions, plan files."""
