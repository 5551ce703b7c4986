"""F2: functions of tables -> findings, each beside its real-against-real yardstick. Sees no network and no file."""
