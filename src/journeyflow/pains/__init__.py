"""Pain points: where persons are lost, to what, compared with whom, and how sure that is."""
