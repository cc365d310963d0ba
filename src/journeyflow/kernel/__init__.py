"""The kernel: sessions, journeys, stages and funnels in one pass over sorted events."""
