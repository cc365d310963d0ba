"""Pain points: where persons are lost, to what, in comparison with which others, and how sure that is."""
