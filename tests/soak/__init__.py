"""An hour of many stations: sessions, lost links, remote commands, and nothing lost, doubled or leaked."""
